"""Frames whose number of events follows the motion: adaptive fine-grained event sampling.

A part S of N events is halved, S1 with floor(N / 2) events and S2 with the rest, and

index(S) = 200 * 3 * sum over pixels of |C(S1) - C(S2)| / N

with C the counts of each polarity, eroded and dilated with a 2 x 2 kernel, added up. Up to the
threshold S is one frame; above it S1 and S2 are frames if S1 has at most `min_events` events, and
are searched alike if it has more.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from pcmamba.ops._check import check_offsets
from pcmamba.ops._events import check_events, check_pixels
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._register import register

_CHANNELS = 3  # the counts stand in each channel of a picture, and the difference sums over them


def adaptive_frames(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    num_frames: int,
    *,
    resolution_hw: tuple[int, int],
    min_events: int = 15_000,
    threshold: float = 30.0,
    offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Cut recordings where pictures of them change, into `num_frames` frames each.

    While there are more frames, the neighbours with the fewest events are joined; while there are
    fewer, the frame with the most events is halved; the earlier where several have them. Counts
    are taken on the sensor. The erosion and the dilation look at a pixel and those left, above and
    above left of it, as OpenCV does; beyond the border there is nothing. A recording's result is
    the same in any batch. The search runs on the CPU, to which events on a GPU are copied.

    Args:
        x: (E,) integer columns, 0 to W - 1, in order of time.
        y: (E,) integer rows, 0 to H - 1.
        p: (E,) polarities, positive where above 0: {0, 1}, {-1, 1} or bool.
        num_frames: T.
        resolution_hw: H and W of the sensor, pixels.
        min_events: Parts whose first half has no more events are halved but once. Authors' values:
            15,000 (DVS128 Gesture), 100,000 (PAF, SeAct), 150,000 (HARDVS).
        threshold: Parts with an index up to it are not halved. Authors' values: 30, 50 (PAF), 40
            (SeAct), 0 (HARDVS).
        offsets: (B + 1,) int64 bounds of the recordings, from 0 to E; without them all events are
            one recording.
        impl: "reference", "cpu" or "auto". A named choice never falls back.

    Returns:
        (T + 1,) int64 bounds of the frames among the events, with offsets (B, T + 1).

    Raises:
        TypeError: `x` or `y` is not integer, or `offsets` are not int64.
        ValueError: Shapes disagree, `num_frames`, `min_events` or a side is below 1, `threshold`
            is negative or no number, an event is outside the sensor, or `offsets` do not rise from
            0 to E.

    Source: Zhou et al., ExACT (CVPR 2024), section 3.1, and its code; the fixed number is ours.
    """
    check_events(x, y, x, p, offsets, 1, resolution_hw)
    if num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, got {num_frames}")
    if min_events < 1:
        raise ValueError(f"min_events must be at least 1, got {min_events}")
    if not 0 <= threshold < math.inf:
        raise ValueError(f"threshold must be at least 0 and finite, got {threshold}")
    host = torch.empty(0, dtype=torch.int64)
    chosen = resolve_impl(impl, host, ("cpu",), differentiable=False)
    bounds = torch.tensor([0, len(x)], device=x.device) if offsets is None else offsets
    found = adaptive_frames_fwd(
        x, y, p, bounds, num_frames, *resolution_hw, min_events, float(threshold), chosen
    )
    return found[0] if offsets is None else found


def adaptive_frames_reference(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    offsets: Tensor,
    num_frames: int,
    height: int,
    width: int,
    min_events: int,
    threshold: float,
) -> Tensor:
    """Find the bounds (B, T + 1) part by part, in torch alone."""
    options = (height, width, min_events, threshold)
    found = [
        _fit([first, *_ends(x, y, p, first, stop, *options)], num_frames)
        for first, stop in itertools.pairwise(offsets.tolist())
    ]
    return torch.tensor(found, dtype=torch.int64).view(len(offsets) - 1, num_frames + 1)


def _ends(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    begin: int,
    end: int,
    height: int,
    width: int,
    min_events: int,
    threshold: float,
) -> list[int]:
    """Return the ends of the frames of one part."""
    half = (end - begin) // 2
    middle = begin + half
    if begin == end:
        return [end]
    before = _opened(x[begin:middle], y[begin:middle], p[begin:middle], height, width)
    after = _opened(x[middle:end], y[middle:end], p[middle:end], height, width)
    change = int((before - after).abs().sum())
    if 200.0 * _CHANNELS * change / (end - begin) <= threshold:
        return [end]
    if half <= min_events:
        return [middle, end]
    options = (height, width, min_events, threshold)
    return _ends(x, y, p, begin, middle, *options) + _ends(x, y, p, middle, end, *options)


def _opened(x: Tensor, y: Tensor, p: Tensor, height: int, width: int) -> Tensor:
    """Count (2, H, W), erode, dilate and add the polarities: (H, W) int64."""
    counts = torch.zeros(2, height, width, dtype=torch.int64)
    one = torch.ones((), dtype=torch.int64)
    counts.index_put_(((p > 0).long(), y.long(), x.long()), one, accumulate=True)
    eroded = -_dilated(-counts)
    return _dilated(eroded).sum(0)


def _dilated(image: Tensor) -> Tensor:
    """Take the largest of each pixel and those left, above and above left of it."""
    padded = torch.nn.functional.pad(image, (1, 0, 1, 0), value=torch.iinfo(image.dtype).min)
    height, width = image.shape[-2:]
    shifted = [padded[..., r : r + height, c : c + width] for r in (0, 1) for c in (0, 1)]
    return torch.stack(shifted).amax(0)


def _fit(edges: list[int], num_frames: int) -> list[int]:
    """Join or halve frames until there are `num_frames`."""
    while len(edges) - 1 > num_frames:
        sizes = [edges[i + 2] - edges[i] for i in range(len(edges) - 2)]
        del edges[sizes.index(min(sizes)) + 1]
    while len(edges) - 1 < num_frames:
        sizes = [edges[i + 1] - edges[i] for i in range(len(edges) - 1)]
        largest = sizes.index(max(sizes))
        edges.insert(largest + 1, edges[largest] + sizes[largest] // 2)
    return edges


def _forward(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    offsets: Tensor,
    num_frames: int,
    height: int,
    width: int,
    min_events: int,
    threshold: float,
    impl: str,
) -> Tensor:
    """Search on the host for the bounds (B, T + 1) int64."""
    columns, rows, signs, bounds = (part.cpu() for part in (x, y, p, offsets))
    check_offsets(bounds, len(columns))
    check_pixels(columns, rows, height, width)
    run = adaptive_frames_reference
    if impl == "cpu":
        from pcmamba.kernels import adaptive_frames_cpu

        run = adaptive_frames_cpu.adaptive_frames_fwd
    found = run(columns, rows, signs, bounds, num_frames, height, width, min_events, threshold)
    return found.to(x.device)


def _fake(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    offsets: Tensor,
    num_frames: int,
    height: int,
    width: int,
    min_events: int,
    threshold: float,
    impl: str,
) -> Tensor:
    return x.new_empty(len(offsets) - 1, num_frames + 1, dtype=torch.int64)


adaptive_frames_fwd = register("adaptive_frames_fwd", _forward, _fake)
