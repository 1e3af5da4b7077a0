"""Launchers of `events.cu`, for what Triton's launches cost on the host."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.kernels._nvrtc import Kernel, load

THREADS = 256
MOST_NARROW = 1 << 21  # fewer events than this overflow neither sum of a word
TYPES = {
    torch.uint8: "uint8",
    torch.bool: "uint8",
    torch.int8: "int8",
    torch.int16: "int16",
    torch.int32: "int32",
    torch.int64: "int64",
    torch.float32: "float",
}
EVENTS = "PPPPP"  # x, y, t, p, offsets
SIZES = "qiiii"  # events, recordings, bins, height, width


def event_histogram_fwd(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    bins: int,
    height: int,
    width: int,
    split: str,
) -> Tensor:
    """Return the counts (B, T, 2, H, W) int32."""
    recordings = 1 if offsets is None else len(offsets) - 1
    counts = torch.zeros(recordings, bins, 2, height, width, dtype=torch.int32, device=t.device)
    x, y, t, p = _events(x, y, t, p)
    kernel = _kernel("count", f"{EVENTS}P{SIZES}", x, t, p, int(split == "time"))
    kernel(
        (_blocks(len(t)), 1, 1), THREADS,
        x, y, t, p, offsets, counts, len(t), recordings, bins, height, width,
    )  # fmt: skip
    return counts


def events_to_voxel_grid_fwd(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    bins: int,
    height: int,
    width: int,
    signed: bool,
) -> Tensor:
    """Return the grid (B, T, 1 or 2, H, W) float32."""
    recordings, plane = 1 if offsets is None else len(offsets) - 1, height * width * (2 - signed)
    shape = (recordings, bins, 2 - signed, height, width)
    sums = torch.zeros(shape, dtype=torch.int64, device=t.device)
    out = torch.empty(shape, dtype=torch.float32, device=t.device)
    x, y, t, p = _events(x, y, t, p)
    narrow = len(t) < MOST_NARROW
    kernel = _kernel("share", f"{EVENTS}P{SIZES}ii", x, t, p, 0)
    kernel(
        (_blocks(len(t)), 1, 1), THREADS,
        x, y, t, p, offsets, sums, len(t), recordings, bins, height, width, signed, narrow,
    )  # fmt: skip
    kernel = _kernel("grid", "PPiqi", x, t, p, 0)
    pairs = plane if plane % 2 else plane // 2
    kernel((_blocks(pairs) * recordings, 1, 1), THREADS, sums, out, bins, plane, narrow)
    return out


def time_surface_fwd(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    at: Tensor | None,
    bins: int,
    height: int,
    width: int,
    split: str,
    tau: float,
    decay: str,
) -> Tensor:
    """Return the surfaces (B, T, 2, H, W) float32."""
    recordings, pixels = 1 if offsets is None else len(offsets) - 1, 2 * height * width
    shape = (recordings, bins, 2, height, width)
    last = torch.zeros(shape, dtype=torch.int64, device=t.device)
    out = torch.empty(shape, dtype=torch.float32, device=t.device)
    x, y, t, p = _events(x, y, t, p)
    at = None if at is None else at.contiguous()
    mode = int(split == "time") if at is None else 2
    _kernel("latest", f"{EVENTS}PP{SIZES}", x, t, p, mode)(
        (_blocks(len(t)), 1, 1), THREADS,
        x, y, t, p, offsets, at, last, len(t), recordings, bins, height, width,
    )  # fmt: skip
    _kernel("surface", "PPPPPqiqfi", x, t, p, mode)(
        (_blocks(pixels) * recordings, 1, 1), THREADS,
        t, offsets, at, last, out, len(t), bins, pixels, 1.0 / tau, decay == "linear",
    )  # fmt: skip
    return out


def _blocks(threads: int) -> int:
    return (threads + THREADS - 1) // THREADS


def _events(x: Tensor, y: Tensor, t: Tensor, p: Tensor) -> list[Tensor]:
    """Return the events in types that the kernels have, each contiguous."""
    if x.dtype != y.dtype or x.dtype not in TYPES:
        x, y = x.long(), y.long()
    t = t if t.dtype in TYPES else t.long()
    p = p if p.dtype in TYPES else p.float()
    return [tensor.contiguous() for tensor in (x, y, t, p)]


def _kernel(entry: str, signature: str, x: Tensor, t: Tensor, p: Tensor, mode: int) -> Kernel:
    variant = (("XY", TYPES[x.dtype]), ("TIME", TYPES[t.dtype]), ("SIGN", TYPES[p.dtype]))
    return load("events", entry, signature, (*variant, ("MODE", mode)), t.get_device())
