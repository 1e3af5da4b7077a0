"""Farthest point sampling: each next sample is the point farthest from those chosen so far.

s[0] = start, d = +inf;  d = min(d, |xyz - xyz[s[m - 1]]|^2),  s[m] = first argmax of d.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._impl import Impl
from pcmamba.ops._points import check_finite, check_point_offsets, working_points
from pcmamba.ops._sequences import check_index, dense_offsets, resolve_sequence_impl
from pcmamba.ops.neighbors import squared_distance

IMPLS = ("cpu", "triton", "nvrtc")


def farthest_point_sample(
    xyz: Tensor,
    num_samples: int | Tensor,
    *,
    start: int | Tensor = 0,
    offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Choose `num_samples` points of each cloud, each the farthest from those before it.

    All implementations round the squared distances alike and give the same indices, on any
    device. Of points equally far the one with the lowest index is taken.

    Args:
        xyz: (B, N, 3), or ragged (T, 3) with `offsets`; float16 and bfloat16 are computed in
            float32. Not differentiated.
        num_samples: Samples M of every cloud. Ragged, also (B,) int64, one count a cloud; the
            host then waits for them, and `torch.compile` cannot see the size.
        start: Index of the first sample inside its cloud, one for all or (B,) int64.
        offsets: (B + 1,) int64 bounds of the clouds in `xyz`, from 0 to T.
        impl: "reference", "cpu", "triton", "nvrtc" or "auto", which takes "nvrtc" on a GPU where
            it is installed. A named choice never falls back.

    Returns:
        (B, M) int64 indices in the order of sampling. Ragged: (sum of M,) int64, cloud after
        cloud, counted inside the cloud; a cloud with fewer points than M is padded with -1.

    Raises:
        ValueError: Shapes disagree, `num_samples` is negative or (dense) above N, or (CPU) a
            coordinate is not finite or `start` lies outside its cloud.
        TypeError: `xyz` is not floating point, `start` or `offsets` not int64.

    Source: Qi et al., PointNet++ (2017), section 3.2.
    """
    (points,) = working_points(xyz=xyz.detach())
    chosen = resolve_sequence_impl(impl, points, available=IMPLS, prefer_nvrtc=True)
    if offsets is not None:
        check_shapes(xyz=(xyz, "T 3"))
        return _ragged(points, num_samples, start, offsets, chosen)
    sizes = check_shapes(xyz=(xyz, "B N 3"))
    count = _dense_count(num_samples, sizes["N"])
    first = _start_tensor(start, sizes["B"], points)
    if chosen == "reference":
        if not torch.compiler.is_compiling():
            _check_values(points.flatten(0, 1), _dense_bounds(points), first, count > 0)
        return farthest_point_sample_reference(points, count, first)
    bounds, rows = _sample_bounds(count, sizes["B"], points.device)
    samples = farthest_point_sample_fwd(
        points.flatten(0, 1), _dense_bounds(points), first, bounds, rows, sizes["N"], chosen
    )
    return samples.view(sizes["B"], count)


def farthest_point_sample_reference(xyz: Tensor, num_samples: int, start: Tensor) -> Tensor:
    """Sample (B, N, 3) clouds from `start` (B,) by a torch loop over the samples."""
    chosen = start.new_empty(len(xyz), num_samples)
    nearest = torch.full_like(xyz[..., 0], torch.inf)
    last = start
    for m in range(num_samples):
        chosen[:, m] = last
        centre = xyz.gather(1, last[:, None, None].expand(-1, 1, 3))
        nearest = torch.minimum(nearest, squared_distance(*(xyz - centre).unbind(-1)))
        last = nearest.argmax(1)
    return chosen


def _dense_bounds(points: Tensor) -> Tensor:
    return dense_offsets(points.shape[0], points.shape[1], points.device)


def _dense_count(num_samples: int | Tensor, num_points: int) -> int:
    if isinstance(num_samples, Tensor):
        raise TypeError("num_samples must be an int without offsets, got a tensor")
    if not 0 <= num_samples <= num_points:
        raise ValueError(
            f"num_samples must be from 0 to the {num_points} points of a cloud, got {num_samples}"
        )
    return num_samples


def _start_tensor(start: int | Tensor, clouds: int, points: Tensor) -> Tensor:
    if not isinstance(start, Tensor):
        return torch.full((clouds,), start, dtype=torch.int64, device=points.device)
    check_index(start=start)
    check_shapes(start=(start, str(clouds)))
    return start


def _check_values(points: Tensor, offsets: Tensor, start: Tensor, sampled: Tensor | bool) -> None:
    """Check on the CPU what a GPU would have to wait for: coordinates and start indices."""
    check_finite(xyz=points)
    if points.device.type != "cpu":
        return
    length = offsets.diff()
    outside = ((start < 0) | (start >= length)) & (length > 0) & sampled
    if bool(outside.any()):
        cloud = int(outside.nonzero()[0])
        raise ValueError(
            f"start must be from 0 to {int(length[cloud]) - 1} in cloud {cloud}, "
            f"got {int(start[cloud])}"
        )


def _ragged(
    points: Tensor, num_samples: int | Tensor, start: int | Tensor, offsets: Tensor, impl: str
) -> Tensor:
    check_index(offsets=offsets)
    clouds = len(offsets) - 1
    first = _start_tensor(start, clouds, points)
    bounds, rows = _sample_bounds(num_samples, clouds, points.device)
    if impl != "reference":
        return farthest_point_sample_fwd(points, offsets, first, bounds, rows, len(points), impl)
    check_point_offsets(offsets=(offsets, points))
    _check_values(points, offsets, first, bounds.diff() > 0)
    return _ragged_reference(points, offsets, first, bounds, rows)


def _sample_bounds(
    num_samples: int | Tensor, clouds: int, device: torch.device
) -> tuple[Tensor, int]:
    """Return the offsets (B + 1,) of the samples and their number."""
    if isinstance(num_samples, Tensor):
        check_index(num_samples=num_samples)
        check_shapes(num_samples=(num_samples, str(clouds)))
        lowest = int(num_samples.min()) if clouds else 0
        bounds = torch.cat([num_samples.new_zeros(1), num_samples.cumsum(0)])
        rows = int(bounds[-1])
    else:
        lowest, rows = num_samples, clouds * num_samples
        bounds = dense_offsets(clouds, num_samples, device)
    if lowest < 0:
        raise ValueError(f"num_samples must be at least 0, got {lowest}")
    return bounds, rows


def _ragged_reference(
    points: Tensor, offsets: Tensor, start: Tensor, bounds: Tensor, rows: int
) -> Tensor:
    samples = start.new_full((rows,), -1)
    cuts, ends = offsets.tolist(), bounds.tolist()
    for b in range(len(start)):
        cloud = points[cuts[b] : cuts[b + 1]]
        count = min(ends[b + 1] - ends[b], len(cloud))
        if count:
            chosen = farthest_point_sample_reference(cloud[None], count, start[b : b + 1])
            samples[ends[b] : ends[b] + count] = chosen[0]
    return samples


@torch.library.custom_op("pcmamba::farthest_point_sample_fwd", mutates_args=())
def farthest_point_sample_fwd(
    xyz: Tensor,
    offsets: Tensor,
    start: Tensor,
    sample_offsets: Tensor,
    rows: int,
    longest: int,
    impl: str,
) -> Tensor:
    """Launch the sampling of ragged clouds (T, 3), none longer than `longest`, into (rows,)."""
    check_point_offsets(offsets=(offsets, xyz))
    _check_values(xyz, offsets, start, sample_offsets.diff() > 0)
    launch = _launchers(impl)
    samples: Tensor = launch.farthest_point_sample_fwd(
        xyz, offsets, start, sample_offsets, rows, longest
    )
    return samples


@farthest_point_sample_fwd.register_fake
def _(
    xyz: Tensor,
    offsets: Tensor,
    start: Tensor,
    sample_offsets: Tensor,
    rows: int,
    longest: int,
    impl: str,
) -> Tensor:
    return start.new_empty(rows)


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import farthest_point_sample_cpu

        return farthest_point_sample_cpu
    if impl == "nvrtc":
        from pcmamba.kernels import farthest_point_sample_nvrtc

        return farthest_point_sample_nvrtc
    from pcmamba.kernels import farthest_point_sample_triton

    return farthest_point_sample_triton
