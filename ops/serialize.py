"""Bring the points of each cloud into a sequence along a grid or a space-filling curve.

cell = floor(xyz / grid_size) - smallest cell of the cloud, on each axis
perm = stable sort of the points of a cloud by code = order(cell)
inverse[perm[i]] = i
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from pcmamba.ops._cells import Clouds, make_grid
from pcmamba.ops._check import check_offsets, check_shapes
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._register import register
from pcmamba.ops.orders import MAX_DEPTH, ORDERS, Cells
from pcmamba.ops.orders.random import first_word
from pcmamba.registry import unknown_name

Scope = Literal["cloud", "batch"]

MOST_SMALL = 4096
"""Points of the largest cloud that one launch numbers and sorts."""


class Serialization(NamedTuple):
    """Sequences of points; with several orders asked for, each has a leading axis O.

    Attributes:
        code: (B, N) or (total,) int64 >= 0, sort key of each point, in the order of the input.
        perm: Index in its cloud of the point at each place: `x.gather(1, perm[..., None])`.
        inverse: Place of each point: `inverse[perm[i]] = i`, inside each cloud.
    """

    code: Tensor
    perm: Tensor
    inverse: Tensor


def serialize(
    xyz: Tensor,
    order: str | Sequence[str],
    *,
    grid_size: float | None = None,
    depth: int | None = None,
    offsets: Tensor | None = None,
    parity: Scope = "cloud",
    seed: int | None = None,
    impl: Impl = "auto",
) -> Serialization:
    """Sort the points of each cloud by one or several orders.

    Ties (points of one cell) keep the order of the input. Nothing is differentiable. By default
    a cloud's result is the same in any batch. Values are checked on the CPU only: on a GPU a
    check would make the host wait, and coordinates that are not finite give some permutation.

    Args:
        xyz: (B, N, 3), or (total, 3) with `offsets`. Floating point coordinates, brought to
            float32 first, or integer cells such as (x, y, t) of events, counted from the
            smallest of each cloud and axis. Clouds may be empty.
        order: Name or names from `ORDERS`: cts-xyz ... cts-zyx (a snake, fastest axis first),
            slab-xyz ... slab-zyx, z, z-trans, hilbert, hilbert-trans, raster, random.
        grid_size: Edge of a cell in units of `xyz`; for floating point `xyz`.
        depth: Bits of an axis, 1 to 20. Floating point `xyz` needs this or `grid_size`, not both:
            then 2**depth cells divide the longest side of each cloud. With integer cells it only
            sets the Hilbert depth, by default the bit length of the largest cell in scope.
        offsets: (B + 1,) int64 bounds of the clouds in a ragged batch.
        parity: Scope of what some orders take from the extents beside the cell, the direction of
            slab-* and the default depth of hilbert*: "cloud", or "batch" as in the released PCM
            code, where batch-mates then change the result.
        seed: Needed by the order random, ignored by the others.
        impl: "reference" (plain torch), "cpu" (compiled Hilbert codes), "triton", "nvrtc" (clouds
            of up to 4096 points) or "auto"; all give equal integers. The GPU kernels number all
            orders at once, never make the host wait, and know the orders of this package: "auto"
            takes the reference for others. A named choice never falls back.

    Returns:
        `Serialization(code, perm, inverse)`, each int64 (B, N) or (total,), with a leading axis
        for the orders where `order` is a sequence.

    Raises:
        TypeError: `xyz` is bool or complex.
        ValueError: Shapes or options do not fit, an order is unknown, or (CPU) a coordinate is
            not finite, or a cloud is wider than 2**20 cells or the given depth.
        NotImplementedError: A named kernel has not the order, or not for clouds of that size.

    Source: Zhang et al., Point Cloud Mamba (arXiv 2403.00762), section 3.2; see `ops/orders`.
    """
    names = [order] if isinstance(order, str) else list(order)
    check_shapes(xyz=(xyz, "B N 3" if offsets is None else "total 3"))
    _check_names(names)
    _check_options(xyz, grid_size, depth, parity, seed if "random" in names else 0)
    chosen = _resolve(impl, xyz, names)
    points = xyz.detach() if xyz.requires_grad else xyz
    found = serialize_fwd(points, names, grid_size, depth, offsets, parity, seed, chosen)
    return Serialization(*(part[0] if isinstance(order, str) else part for part in found))


def _resolve(impl: str, xyz: Tensor, names: Sequence[str]) -> str:
    """Choose the implementation; the kernels know only the orders of this package."""
    fused = [ORDERS[name].fused is not None for name in names]
    if impl == "auto" and not all(fused):
        return resolve_impl(impl, xyz, ("cpu",), differentiable=False)
    chosen = resolve_impl(
        impl,
        xyz,
        ("cpu", "triton", "nvrtc"),
        differentiable=False,
        prefer_nvrtc=xyz.shape[-2] <= MOST_SMALL,
    )
    if chosen in ("triton", "nvrtc") and not all(fused):
        other = names[fused.index(False)]
        raise NotImplementedError(
            f"order must be one of this package's for impl={impl!r}, got {other!r}; "
            "impl='reference' takes every order"
        )
    if chosen == "nvrtc" and xyz.shape[-2] > MOST_SMALL:
        raise NotImplementedError(
            f"xyz must hold at most {MOST_SMALL} points for impl='nvrtc', got {xyz.shape[-2]}; "
            "impl='triton' takes more"
        )
    return chosen


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise ValueError("order must name at least one order, got none")
    for name in names:
        if name not in ORDERS:
            raise ValueError(unknown_name("order", name, ORDERS))


def _check_options(
    xyz: Tensor, grid_size: float | None, depth: int | None, parity: str, seed: int | None
) -> None:
    if xyz.dtype == torch.bool or xyz.is_complex():
        raise TypeError(f"xyz must be floating point or integer, got {xyz.dtype}")
    if xyz.is_floating_point() and (grid_size is None) == (depth is None):
        got = "neither" if depth is None else "both; integer cells may come with a depth"
        raise ValueError(f"grid_size or depth must be given for floating point xyz, got {got}")
    if not xyz.is_floating_point() and grid_size is not None:
        raise ValueError(f"grid_size must be None for integer cells, got {grid_size}")
    if grid_size is not None and not 0 < grid_size < math.inf:
        raise ValueError(f"grid_size must be positive and finite, got {grid_size}")
    if depth is not None and not 1 <= depth <= MAX_DEPTH:
        raise ValueError(f"depth must be 1 to {MAX_DEPTH}, got {depth}")
    if parity not in get_args(Scope):
        raise ValueError(unknown_name("parity", parity, get_args(Scope)))
    if seed is None or not 0 <= seed < 1 << 63:
        raise ValueError(f"seed must be 0 to 2**63 - 1 for the order 'random', got {seed}")


def _serialize(
    xyz: Tensor,
    orders: Sequence[str],
    grid_size: float | None,
    depth: int | None,
    offsets: Tensor | None,
    parity: str,
    seed: int | None,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    if offsets is not None:
        check_offsets(offsets, len(xyz))
    if xyz.numel() == 0:
        return _empty(xyz, orders)
    if impl in ("triton", "nvrtc"):
        return _launch(xyz, orders, grid_size, depth, offsets, parity, seed, impl)
    clouds = Clouds.of(xyz, offsets)
    grid, extent = make_grid(xyz, clouds, grid_size, depth)
    scope = extent if parity == "cloud" else extent.reshape(-1, 3).amax(0)
    compiled: Literal["reference", "cpu"] = "cpu" if impl == "cpu" else "reference"
    cells = Cells(grid, extent, scope, clouds.place, depth, seed, compiled)
    code = torch.stack([ORDERS[name].key(cells).contiguous() for name in orders])
    return code, *_sort(code, clouds)


def _launch(
    xyz: Tensor,
    orders: Sequence[str],
    grid_size: float | None,
    depth: int | None,
    offsets: Tensor | None,
    parity: str,
    seed: int | None,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    from pcmamba.kernels._serialize_job import Job

    numbers = tuple(ORDERS[name].fused or 0 for name in orders)
    start = 0 if seed is None else first_word(seed)
    job = Job(
        xyz.contiguous(), offsets, numbers, grid_size or 0.0, depth or 0, parity == "batch", start
    )
    if impl == "nvrtc":
        from pcmamba.kernels import serialize_nvrtc

        return serialize_nvrtc.serialize_fwd(job)
    from pcmamba.kernels import serialize_triton

    return serialize_triton.serialize_fwd(job)


def _serialize_fake(
    xyz: Tensor, orders: Sequence[str], *_options: object
) -> tuple[Tensor, Tensor, Tensor]:
    return _empty(xyz, orders)


def _empty(xyz: Tensor, orders: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    shape = (len(orders), *xyz.shape[:-1])
    code, perm, inverse = (xyz.new_empty(shape, dtype=torch.int64) for _ in range(3))
    return code, perm, inverse


serialize_fwd = register(
    "serialize",
    _serialize,
    _serialize_fake,
    "(Tensor xyz, str[] orders, float? grid_size, int? depth, Tensor? offsets, str parity, "
    "int? seed, str impl) -> (Tensor, Tensor, Tensor)",
)


def _sort(code: Tensor, clouds: Clouds) -> tuple[Tensor, Tensor]:
    """Sort each cloud stably and invert: (O, B, N) or (O, total) to perm and inverse."""
    perm = torch.sort(code, dim=-1, stable=True).indices
    inverse = torch.empty_like(perm)
    if clouds.row is None or clouds.start is None:
        return perm, inverse.scatter_(-1, perm, clouds.place.expand_as(perm))
    # By code, then by cloud: the pair need not fit one integer.
    by_cloud = torch.sort(clouds.row[perm], dim=-1, stable=True).indices
    perm = perm.gather(-1, by_cloud)
    inverse.scatter_(-1, perm, clouds.place.expand_as(perm))
    return perm - clouds.start[clouds.row], inverse
