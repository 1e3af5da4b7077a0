"""Result of a neighbour search, squared distances to the neighbours, and their gradient.

dist2[m, k] = |query[m] - support[idx[m, k]]|^2 = (dx dx + dy dy) + dz dz, always by differences:
|q|^2 - 2 q.s + |s|^2 cancels and can turn negative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from pcmamba.kernels.ragged import cloud_of_row
from pcmamba.ops._check import check_shapes
from pcmamba.ops._gather import gather_rows
from pcmamba.ops._once import refuse_double_backward
from pcmamba.ops._points import check_point_offsets
from pcmamba.ops._sequences import check_index, dense_offsets


class Neighbors(NamedTuple):
    """Neighbours of every query point.

    Attributes:
        idx: (B, M, K) int64 rows of the query's own cloud; -1 is padding.
        dist2: (B, M, K) squared distance, in the square of the coordinates' unit; 0 at padding.
    """

    idx: Tensor
    dist2: Tensor


def squared_distance(dx: Tensor, dy: Tensor, dz: Tensor) -> Tensor:
    """Return (dx dx + dy dy) + dz dz, rounded in the order that every implementation uses."""
    return (dx * dx + dy * dy) + dz * dz


def all_dist2(query: Tensor, support: Tensor) -> Tensor:
    """Return the squared distances (B, M, N) of (B, M, 3) to (B, N, 3), for the references."""
    deltas = (query[:, :, None, axis] - support[:, None, :, axis] for axis in range(3))
    return squared_distance(*deltas)


def neighbor_dist2(query: Tensor, support: Tensor, idx: Tensor) -> Tensor:
    """Return the squared distances (B, M, K) to listed neighbours by plain torch.

    Args:
        query: (B, M, 3); differentiable.
        support: (B, N, 3); differentiable.
        idx: (B, M, K) int64; the result is 0 where it is -1.
    """
    difference = query[:, :, None] - gather_rows(support, idx)
    return squared_distance(*difference.unbind(-1)).masked_fill(idx < 0, 0)


@torch.library.custom_op("pcmamba::neighbors_bwd", mutates_args=())
def neighbors_bwd(
    grad: Tensor,
    query: Tensor,
    support: Tensor,
    idx: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the gradients (Q, 3) and (T, 3) of both point sets from that of dist2 (Q, K)."""
    padding = idx < 0
    first = support_offsets[cloud_of_row(query_offsets, len(query))]
    rows = torch.where(padding, len(support), idx + first[:, None]).flatten()
    padded = torch.cat([support, support.new_zeros(1, 3)])
    difference = query[:, None] - padded[rows].view(*idx.shape, 3)
    slots = (2 * grad.masked_fill(padding, 0))[..., None] * difference
    return slots.sum(1), -_sum_by_row(slots.flatten(0, 1), rows, len(support))


def _sum_by_row(slots: Tensor, rows: Tensor, count: int) -> Tensor:
    """Add the slots (S, 3) of each row in rising order: no atomics, so the same bits each time."""
    ordered, order = rows.sort(stable=True)
    bounds = torch.searchsorted(ordered, torch.arange(count + 1, device=rows.device))
    if len(slots) == 0 or count == 0:
        return slots.new_zeros(count, 3)
    # Rows past the last bound are padding.
    return torch.segment_reduce(slots[order], "sum", offsets=bounds, unsafe=True, initial=0)


@neighbors_bwd.register_fake
def _(
    grad: Tensor,
    query: Tensor,
    support: Tensor,
    idx: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(query), torch.empty_like(support)


refuse_double_backward(neighbors_bwd, "dist2")


def save_search(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    """Keep what the gradient of a search needs; its first four inputs are points and offsets."""
    query, support, query_offsets, support_offsets, *rest = inputs
    _, idx = output
    ctx.mark_non_differentiable(idx)
    ctx.save_for_backward(query, support, idx, query_offsets, support_offsets)
    ctx.num_rest = len(rest)


def search_backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    """Return the gradients of a search's inputs: both point sets, then nothing."""
    dquery, dsupport = neighbors_bwd(grad, *ctx.saved_tensors)
    return (dquery, dsupport, None, None, *(None for _ in range(ctx.num_rest)))


def search_bounds(
    query: Tensor, support: Tensor, query_offsets: Tensor | None, support_offsets: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Check the shapes of a dense or ragged search and return the offsets of both point sets.

    Raises:
        ValueError: Shapes disagree, or one offsets argument comes without the other.
        TypeError: Offsets are not int64.
    """
    if query_offsets is None or support_offsets is None:
        if query_offsets is not None or support_offsets is not None:
            raise ValueError("query_offsets and support_offsets must be given together, got one")
        sizes = check_shapes(query=(query, "B M 3"), support=(support, "B N 3"))
        return (
            dense_offsets(sizes["B"], sizes["M"], query.device),
            dense_offsets(sizes["B"], sizes["N"], query.device),
        )
    check_shapes(query=(query, "Q 3"), support=(support, "T 3"))
    check_index(query_offsets=query_offsets, support_offsets=support_offsets)
    check_shapes(query_offsets=(query_offsets, "C"), support_offsets=(support_offsets, "C"))
    return query_offsets, support_offsets


def ragged_search(
    query: Tensor,
    support: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
    k: int,
    dense: Callable[[Tensor, Tensor, int], Neighbors],
) -> Neighbors:
    """Run a reference search cloud by cloud, its columns padded up to `k`."""
    check_point_offsets(
        query_offsets=(query_offsets, query), support_offsets=(support_offsets, support)
    )
    cuts, bounds = query_offsets.tolist(), support_offsets.tolist()
    found = [Neighbors(query_offsets.new_empty(0, k), query.new_empty(0, k))]
    for b in range(len(cuts) - 1):
        cloud = support[bounds[b] : bounds[b + 1]]
        idx, dist2 = dense(query[cuts[b] : cuts[b + 1]][None], cloud[None], k)
        room = (0, k - idx.shape[-1])
        found.append(Neighbors(pad(idx[0], room, value=-1), pad(dist2[0], room)))
    return Neighbors(*(torch.cat(part) for part in zip(*found, strict=True)))
