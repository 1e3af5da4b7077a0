"""CUDA launcher of farthest point sampling: small clouds in registers, larger ones in boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.kernels import _nvrtc
from pcmamba.kernels.curve_nvrtc import curve_order

REGISTER_POINTS = 8192  # 8 for each of 1024 threads
BOX = 128
BOX_THREADS = 512
MOST_SLOTS = 2560  # 36 bytes of shared memory each: 90 KiB, which every chip from 8.0 has
BOX_ROWS = 9


def farthest_point_sample_fwd(
    xyz: Tensor, offsets: Tensor, start: Tensor, sample_offsets: Tensor, rows: int, longest: int
) -> Tensor:
    """Return the samples (rows,) int64 of ragged clouds (T, 3), -1 past a cloud's last point."""
    samples = torch.full((rows,), -1, dtype=torch.int64, device=xyz.device)
    if rows == 0 or longest == 0:
        return samples
    xyz, offsets = xyz.contiguous(), offsets.contiguous()
    tables = (offsets, start.contiguous(), sample_offsets.contiguous())
    if longest <= REGISTER_POINTS:
        _in_registers(xyz, *tables, samples, longest)
    else:
        _in_boxes(xyz, *tables, samples, longest)
    return samples


def register_shape(longest: int) -> tuple[int, int]:
    """Threads a block and points a thread that hold a cloud of `longest` points."""
    threads = 32
    while threads < 1024 and threads * 4 < longest:
        threads *= 2
    points = 1
    while threads * points < longest:
        points *= 2
    return threads, points


def box_shape(longest: int) -> tuple[int, int]:
    """Boxes a warp, rounded up to whole warps of lanes, and points a box."""
    size = BOX
    while -(-longest // size) > MOST_SLOTS:
        size *= 2
    boxes = -(-longest // size)
    return -(-boxes // BOX_THREADS) * 32, size


def _in_registers(
    xyz: Tensor, offsets: Tensor, start: Tensor, bounds: Tensor, samples: Tensor, longest: int
) -> None:
    threads, points = register_shape(longest)
    macros = (("THREADS", threads), ("POINTS", points))
    kernel = _nvrtc.load(
        "farthest_point_sample", "sample_registers", "PPPPP", macros, xyz.device.index
    )
    grid = (len(offsets) - 1, 1, 1)
    kernel(grid, threads, xyz, offsets, start, bounds, samples, shared=12 * longest)


def _in_boxes(
    xyz: Tensor, offsets: Tensor, start: Tensor, bounds: Tensor, samples: Tensor, longest: int
) -> None:
    threads = BOX_THREADS
    slots, size = box_shape(longest)
    macros = (("THREADS", threads), ("POINTS", 1))
    kernel = _nvrtc.load(
        "farthest_point_sample", "sample_boxes", "PPPPPPPPii", macros, xyz.device.index
    )
    order = curve_order(xyz, offsets)
    records = torch.empty(len(xyz), 4, device=xyz.device)
    nearest = torch.empty(len(xyz), device=xyz.device)
    tables = (offsets, start, bounds, order, records, nearest, samples)
    shared = BOX_ROWS * 4 * slots * threads // 32
    kernel((len(offsets) - 1, 1, 1), threads, xyz, *tables, slots, size, shared=shared)
