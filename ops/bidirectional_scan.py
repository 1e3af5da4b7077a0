"""The inner part of a bidirectional Mamba mixer: two branches over one sequence, one gate.

v = silu(conv(x));  dt | B | C = x_proj v;  delta = dt_proj dt
scan of v with softplus(delta + dt_bias), A = -exp(A_log), skip D
y = (sum over the branches) silu(z)
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops._check import check_shapes
from pcmamba.ops._impl import Impl
from pcmamba.ops._sequences import (
    check_index,
    dense_offsets,
    flatten_rows,
    put_rows,
    row_order,
    take_rows,
)
from pcmamba.ops.bidirectional_core import CoreBranch, convolve_pair, scan_pair, takes_pair
from pcmamba.ops.causal_conv1d import causal_conv1d
from pcmamba.ops.selective_scan import selective_scan


class ScanBranch(NamedTuple):
    """Parameters of one branch; D channels, W taps, r rank of the step, S states.

    Attributes:
        conv_weight: (D, W) taps, the last one for the step itself.
        conv_bias: (D,) or None.
        x_proj: (r + 2S, D) projection to step rank, B and C, in this order.
        dt_proj: (D, r) projection to the steps.
        dt_bias: (D,) added to the steps before softplus, or None.
        A_log: (D, S) logarithm of -A.
        D: (D,) skip weights, or None.
        reverse: Convolve and scan from the last row to the first.
        channel_reverse: Read [x; z] with the order of all 2D channels reversed, so that the
            branch scans z and is gated by x, both with channel D - 1 first, and reverse the
            channels of the result. Without z it scans x with its channels reversed.
    """

    conv_weight: Tensor
    conv_bias: Tensor | None
    x_proj: Tensor
    dt_proj: Tensor
    dt_bias: Tensor | None
    A_log: Tensor
    D: Tensor | None
    reverse: bool = False
    channel_reverse: bool = False


def bidirectional_scan(
    x: Tensor,
    z: Tensor | None,
    branches: tuple[ScanBranch, ScanBranch],
    *,
    perm: Tensor | None = None,
    offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Convolve, project and scan a sequence in two branches, add them and gate the sum.

    Vision Mamba and Point Cloud Mamba: the second branch has `reverse`. Mamba3D: it has
    `channel_reverse` instead, and both run from the first row to the last.

    Differentiable in x, z and every parameter; a second time only by "reference". Under autocast
    the projections run in the lower precision, the state and every sum of the scan in float32.

    Args:
        x: (B, L, D); in the ragged form (T, D).
        z: Gate of the shape of `x`, or None.
        branches: The two branches.
        perm: (B, L) or (T,) int64 permutation of each sequence's rows: the branches meet row
            perm[t] at step t, and y stays in the order of `x`.
        offsets: (B + 1,) int64 for the ragged form, rising from 0 to T.
        impl: "reference", "cpu", "triton", "nvrtc" or "auto". A named choice never falls back.

    Returns:
        (B, L, D) in the dtype of `x`.

    Raises:
        NotImplementedError: The branches differ in states, taps or dtypes and `impl` is "nvrtc".
        ValueError: Shapes disagree, or (CPU) `offsets` or `perm` hold values out of range.
        TypeError: A dtype is wrong, or float64 meets an `impl` that is not "reference".

    Source: Zhu et al., Vision Mamba (2024), section 3.3; Han et al., Mamba3D (2024).
    """
    _check(x, z, branches, perm, offsets)
    floats = [t for branch in branches for t in branch if isinstance(t, Tensor)]
    if takes_pair(impl, x, z, branches, branches[0].channel_reverse, *floats):
        return _scan_both(x, z, branches, perm, offsets)
    order = None if perm is None else row_order(x, perm, offsets)
    rows = take_rows(x, order)
    gate = None if z is None else take_rows(z, order)
    straight = [branch for branch in branches if not branch.channel_reverse]
    crossed = [_turn_channels(branch) for branch in branches if branch.channel_reverse]
    swapped = (rows, None) if gate is None else (gate, rows)
    parts = [
        _gated_sum(*pair, group, offsets, impl)
        for pair, group in (((rows, gate), straight), (swapped, crossed))
        if group
    ]
    return put_rows(functools.reduce(torch.add, parts).to(x.dtype), order)


def _check(
    x: Tensor,
    z: Tensor | None,
    branches: tuple[ScanBranch, ...],
    perm: Tensor | None,
    offsets: Tensor | None,
) -> None:
    rows = "B L" if offsets is None else "T"
    sizes = check_shapes(x=(x, f"{rows} D"), z=(z, f"{rows} D"), perm=(perm, rows))
    if len(branches) != 2:
        raise ValueError(f"branches must be two ScanBranch, got {len(branches)}")
    for i, b in enumerate(branches):
        _check_branch(f"branches[{i}].", b, sizes["D"])
    check_index(perm=perm, offsets=offsets)


def _check_branch(owner: str, branch: ScanBranch, channels: int) -> None:
    states = branch.A_log.shape[-1]
    shapes = {
        "A_log": f"{channels} S",
        "conv_weight": f"{channels} W",
        "conv_bias": f"{channels}",
        "dt_proj": f"{channels} r",
        "dt_bias": f"{channels}",
        "D": f"{channels}",
    }
    named = {owner + name: (getattr(branch, name), shape) for name, shape in shapes.items()}
    width = check_shapes(**named)["r"] + 2 * states
    check_shapes(**{f"{owner}x_proj": (branch.x_proj, f"{width} {channels}")})


def _scan_both(
    x: Tensor,
    z: Tensor | None,
    branches: tuple[ScanBranch, ScanBranch],
    perm: Tensor | None,
    offsets: Tensor | None,
) -> Tensor:
    """Run the kernels that take both branches at once, and the projections between them."""
    crossed = branches[1].channel_reverse
    first, second = branches[0], _turn_channels(branches[1]) if crossed else branches[1]
    rows, gate, order = (flatten_rows(t) if offsets is None else t for t in (x, z, perm))
    if offsets is None:
        offsets = dense_offsets(x.shape[0], x.shape[1], x.device)
    assert rows is not None
    v = convolve_pair(rows, gate, (first, second), crossed, order, offsets)
    pair = _project(v[0], first, False), _project(v[1], second, crossed)
    return scan_pair(v, rows, gate, pair, order, offsets).view(x.shape)


def _project(v: Tensor, branch: ScanBranch, crossed: bool) -> CoreBranch:
    rank, states = branch.dt_proj.shape[1], branch.A_log.shape[1]
    steps, B, C = torch.split(F.linear(v, branch.x_proj), [rank, states, states], dim=-1)
    return CoreBranch(
        *(branch.conv_weight, branch.conv_bias, F.linear(steps, branch.dt_proj), B, C),
        *(branch.dt_bias, branch.A_log, branch.D, branch.reverse, crossed),
    )


def _gated_sum(
    x: Tensor, gate: Tensor | None, branches: list[ScanBranch], offsets: Tensor | None, impl: Impl
) -> Tensor:
    y = functools.reduce(torch.add, [_scan(x, branch, offsets, impl) for branch in branches])
    return y if gate is None else y * F.silu(gate)


def _scan(x: Tensor, branch: ScanBranch, offsets: Tensor | None, impl: Impl) -> Tensor:
    rank, states = branch.dt_proj.shape[1], branch.A_log.shape[1]
    direction: dict[str, Any] = {"reverse": branch.reverse, "offsets": offsets, "impl": impl}
    v = causal_conv1d(x, branch.conv_weight, branch.conv_bias, activation="silu", **direction)
    steps, B, C = torch.split(F.linear(v, branch.x_proj), [rank, states, states], dim=-1)
    y = selective_scan(
        *(v, F.linear(steps, branch.dt_proj), -branch.A_log.exp(), B, C, branch.D),
        delta_bias=branch.dt_bias,
        delta_softplus=True,
        **direction,
    )
    assert isinstance(y, Tensor)
    return y


def _turn_channels(branch: ScanBranch) -> ScanBranch:
    """Reverse the channels of the parameters: the same as reversing input and output."""
    turned: dict[str, Any] = {
        name: None if getattr(branch, name) is None else getattr(branch, name).flip(0)
        for name in ("conv_weight", "conv_bias", "dt_proj", "dt_bias", "A_log", "D")
    }
    return branch._replace(**turned, x_proj=branch.x_proj.flip(1))
