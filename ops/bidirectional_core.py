"""Convolution, scan and gate of two branches whose steps, B and C are given.

v = silu(conv(x)); scan of v with softplus(delta + dt_bias), A = -exp(A_log), skip D
y = (sum over the branches) silu(z)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops._bidirectional import (
    CoreInputs,
    bidirectional_conv_fwd,
    bidirectional_core_fwd,
    pack,
)
from pcmamba.ops._check import check_shapes
from pcmamba.ops._impl import Impl
from pcmamba.ops._sequences import (
    check_index,
    dense_offsets,
    flatten_rows,
    put_rows,
    resolve_scan_impl,
    row_order,
    take_rows,
)
from pcmamba.ops.causal_conv1d import causal_conv1d
from pcmamba.ops.selective_scan import selective_scan


class CoreBranch(NamedTuple):
    """One branch; D channels, W taps, S states.

    Attributes:
        conv_weight: (D, W) taps, the last one for the step itself.
        conv_bias: (D,) or None.
        delta: (B, L, D) steps before bias and softplus.
        B: (B, L, S) input weights.
        C: (B, L, S) output weights.
        dt_bias: (D,) added to the steps, or None.
        A_log: (D, S) logarithm of -A.
        D: (D,) skip weights, or None.
        reverse: Convolve and scan from the last row to the first.
        crossed: Read z and be gated by x; without z the branch is not gated and reads x.
    """

    conv_weight: Tensor
    conv_bias: Tensor | None
    delta: Tensor
    B: Tensor
    C: Tensor
    dt_bias: Tensor | None
    A_log: Tensor
    D: Tensor | None
    reverse: bool = False
    crossed: bool = False


def bidirectional_core(
    x: Tensor,
    z: Tensor | None,
    branches: tuple[CoreBranch, CoreBranch],
    *,
    perm: Tensor | None = None,
    offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Convolve and scan a sequence in two branches, add them and gate the sum.

    What `bidirectional_scan` does beside its matrix products; meant for it and for measuring.

    Args:
        x: (B, L, D); in the ragged form (T, D).
        z: Gate of the shape of `x`, or None.
        branches: The two branches.
        perm: (B, L) or (T,) int64 permutation of each sequence's rows, see `bidirectional_scan`.
        offsets: (B + 1,) int64 for the ragged form, rising from 0 to T.
        impl: "reference", "cpu", "triton", "nvrtc" or "auto". A named choice never falls back.

    Returns:
        (B, L, D) in the dtype of `x`.

    Raises:
        NotImplementedError: The branches differ in states, taps or dtypes and `impl` is "nvrtc".
        ValueError: Shapes disagree.
        TypeError: A dtype is wrong, or float64 meets an `impl` that is not "reference".
    """
    for i, branch in enumerate(branches):
        _check(f"branches[{i}].", branch, x, z, perm, offsets)
    floats = [t for branch in branches for t in branch if isinstance(t, Tensor)]
    if takes_pair(impl, x, z, branches, branches[0].crossed, *floats):
        rows = [flatten_rows(t) if offsets is None else t for t in (x, z, perm)]
        given = offsets
        if offsets is None:
            given = dense_offsets(x.shape[0], x.shape[1], x.device)
            branches = (_flatten(branches[0]), _flatten(branches[1]))
        assert rows[0] is not None and given is not None
        v = convolve_pair(rows[0], rows[1], branches, branches[1].crossed, rows[2], given)
        return scan_pair(v, rows[0], rows[1], branches, rows[2], given).view(x.shape)
    return _composed(x, z, branches, perm, offsets, impl)


def _check(
    owner: str,
    branch: CoreBranch,
    x: Tensor,
    z: Tensor | None,
    perm: Tensor | None,
    offsets: Tensor | None,
) -> None:
    rows = "B L" if offsets is None else "T"
    shapes = {
        "conv_weight": "D W",
        "conv_bias": "D",
        "delta": f"{rows} D",
        "A_log": "D S",
        "B": f"{rows} S",
        "C": f"{rows} S",
        "dt_bias": "D",
        "D": "D",
    }
    named = {owner + name: (getattr(branch, name), shape) for name, shape in shapes.items()}
    check_shapes(x=(x, f"{rows} D"), z=(z, f"{rows} D"), perm=(perm, rows), **named)
    check_index(perm=perm, offsets=offsets)


def _flatten(branch: CoreBranch) -> CoreBranch:
    rows: dict[str, Any] = {k: getattr(branch, k).flatten(0, 1) for k in ("delta", "B", "C")}
    return branch._replace(**rows)


def takes_pair(
    impl: str,
    x: Tensor,
    z: Tensor | None,
    branches: tuple[Any, Any],
    crossed: bool,
    *floats: Tensor | None,
) -> bool:
    """Tell whether the kernels that take both branches at once run; not if the first is crossed.

    Raises:
        NotImplementedError: `impl` is "nvrtc" and the branches are not alike.
        TypeError: `impl` names a kernel and a tensor is float64.
    """
    first, second = branches
    chosen = resolve_scan_impl(impl, x, z, *floats, states=first.A_log.shape[1])
    if chosen != "nvrtc":
        return False
    alike = first.A_log.shape == second.A_log.shape
    alike = alike and first.conv_weight.shape == second.conv_weight.shape
    alike = alike and (z is None or z.dtype == x.dtype) and not crossed
    if impl == "nvrtc" and not alike:
        raise NotImplementedError(
            "branches must have states and taps of one number, x and z one dtype, and the first "
            "must not be crossed for impl='nvrtc', got others; impl='triton' takes them"
        )
    return alike


def convolve_pair(
    x: Tensor,
    z: Tensor | None,
    branches: tuple[Any, Any],
    crossed: bool,
    perm: Tensor | None,
    offsets: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return silu(conv) of both branches over rows (T, D), the second of z if `crossed`."""
    first, second = branches
    taps = [first.conv_weight, first.conv_bias, second.conv_weight, second.conv_bias]
    packed = pack([x, z if crossed else None, *taps])
    pair: tuple[Tensor, Tensor] = bidirectional_conv_fwd(
        *packed, perm, offsets, first.reverse, second.reverse
    )
    return pair


def scan_pair(
    v: tuple[Tensor, Tensor],
    x: Tensor,
    z: Tensor | None,
    branches: tuple[CoreBranch, CoreBranch],
    perm: Tensor | None,
    offsets: Tensor,
) -> Tensor:
    """Scan what `convolve_pair` returned, add and gate, over rows (T, D)."""
    first, second = branches
    names = ("delta", "A_log", "B", "C", "D", "dt_bias")
    pairs = [_alike(getattr(first, name), getattr(second, name)) for name in names]
    given: list[Any] = [t for pair in pairs for t in pair]
    inputs = CoreInputs(*v, z, x if second.crossed and z is not None else None, *given)
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs)
    out: Tensor = bidirectional_core_fwd(
        *pack(inputs), perm, offsets, first.reverse, second.reverse, keep
    )[0]
    return out


def _alike(first: Tensor | None, second: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Give two tensors one dtype, which a launch of both needs."""
    if first is None or second is None or first.dtype == second.dtype:
        return first, second
    return first.float(), second.float()


def _composed(
    x: Tensor,
    z: Tensor | None,
    branches: tuple[CoreBranch, CoreBranch],
    perm: Tensor | None,
    offsets: Tensor | None,
    impl: Impl,
) -> Tensor:
    order = None if perm is None else row_order(x, perm, offsets)
    rows, gate = take_rows(x, order), None if z is None else take_rows(z, order)
    total = None
    for branch in branches:
        crossed = branch.crossed and gate is not None
        source, own = (gate, rows) if crossed else (rows, gate)
        assert source is not None
        options: dict[str, Any] = {"reverse": branch.reverse, "offsets": offsets, "impl": impl}
        v = causal_conv1d(
            source, branch.conv_weight, branch.conv_bias, activation="silu", **options
        )
        delta, B, C = (take_rows(t, order) for t in (branch.delta, branch.B, branch.C))
        y = selective_scan(
            *(v, delta, -branch.A_log.exp(), B, C, branch.D),
            delta_bias=branch.dt_bias,
            delta_softplus=True,
            **options,
        )
        assert isinstance(y, Tensor)
        y = y if own is None else y * F.silu(own)
        total = y if total is None else total + y
    assert total is not None
    return put_rows(total.to(x.dtype), order)
