"""Inputs, calls and floors of the cases on layers: convolutions in pairs, norms, pools, rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from bench_inputs import TAPS, Draw, builder, op, pooled
from bench_problem import Case, Inputs, Problem, Work
from torch import Tensor


@builder
def group_softmax(case: Case, dtype: torch.dtype) -> Problem:
    """Gather, and the mean of neighbours weighed by their softmax."""
    function = op("group_softmax")
    return pooled(case, dtype, lambda feat, idx, impl: function(feat, idx, impl=impl))


@builder
def group_affine_max(case: Case, dtype: torch.dtype) -> Problem:
    """Gather, normalise around the anchor, maximum."""
    function = op("group_affine_max")
    batch, queries, _, channels, _ = case.sizes
    draw = Draw(case, dtype)
    plain = pooled(case, dtype, lambda feat, idx, impl: feat)
    own: Inputs = {
        "anchor": draw.normal(batch, queries, channels),
        "sigma": draw.uniform(batch, low=0.5, high=1.5),
        "alpha": draw.uniform(channels, low=-1),
        "beta": draw.uniform(channels, low=-1),
    }

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (function(**values, impl=impl),)

    letters = {"anchor": "BMC", "sigma": "B", "alpha": "C", "beta": "C"}
    return Problem(
        inputs=plain.inputs | own,
        call=call,
        letters=plain.letters | letters,
        results=("BMC",),
        differentiate=("feat", *letters),
        keep={"B": 2},
        work=plain.work,
    )


@builder
def group_std(case: Case, dtype: torch.dtype) -> Problem:
    """One deviation for each cloud."""
    function = op("group_std")
    batch, queries, _, channels, points = case.sizes
    plain = pooled(case, dtype, lambda feat, idx, impl: feat)
    anchor = Draw(case, dtype).normal(batch, queries, channels)

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (function(**values, impl=impl),)

    size = batch * (points + queries) * channels * dtype.itemsize
    return Problem(
        inputs=plain.inputs | {"anchor": anchor},
        call=call,
        letters=plain.letters | {"anchor": "BMC"},
        results=("B",),
        differentiate=("feat", "anchor"),
        keep={"B": 2},
        work=(
            Work(bytes=size, l2_bytes=plain.work[0].l2_bytes),
            Work(bytes=2 * size, l2_bytes=plain.work[0].l2_bytes),
        ),
    )


@builder
def causal_conv1d_pair(case: Case, dtype: torch.dtype) -> Problem:
    """Both directions with SiLU, reading the input once."""
    function = op("causal_conv1d_pair")
    batch, length, width = case.sizes
    draw, size = Draw(case, dtype), batch * length * width * dtype.itemsize
    letters = {"weight": "DW", "bias": "D", "back_weight": "DW", "back_bias": "D"}
    shapes = {"DW": (width, TAPS), "D": (width,)}
    inputs: Inputs = {"x": draw.normal(batch, length, width)}
    inputs |= {name: draw.uniform(*shapes[s], low=-0.5, high=0.5) for name, s in letters.items()}

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return tuple(function(**values, activation="silu", impl=impl))

    return Problem(
        inputs=inputs,
        call=call,
        letters={"x": "BLD"} | letters,
        results=("BLD", "BLD"),
        differentiate=tuple(inputs),
        keep={"B": 2},
        work=(Work(bytes=3 * size), Work(bytes=4 * size)),
    )


@builder
def permute_rows(case: Case, dtype: torch.dtype) -> Problem:
    """Half of each cloud's rows, in another order."""
    function = op("permute_rows")
    batch, points, channels = case.sizes
    draw, size = Draw(case, dtype), batch * points * channels * dtype.itemsize
    order = draw.uniform(batch, points).argsort(1)[:, : points // 2].contiguous()

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (function(values["x"], values["rows"], impl=impl),)

    return Problem(
        inputs={"x": draw.normal(batch, points, channels), "rows": order},
        call=call,
        letters={"x": "BNC", "rows": "BM"},
        results=("BMC",),
        differentiate=("x",),
        keep={"B": 2},
        work=(Work(bytes=size), Work(bytes=1.5 * size)),
    )


@builder
def batch_norm_relu(case: Case, dtype: torch.dtype) -> Problem:
    """Training: statistics of the rows, scale, shift and cut."""
    function, stats = op("batch_norm_relu"), op("batch_norm_relu", "RunningStats")
    rows, channels = case.sizes
    draw, size = Draw(case, dtype), rows * channels * dtype.itemsize

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        weight = values["weight"]
        assert weight is not None
        mean, deviation = torch.zeros_like(weight).detach(), torch.ones_like(weight).detach()
        return (function(**values, running=stats(mean, deviation), training=True, impl=impl),)

    return Problem(
        inputs={
            "x": draw.normal(rows, channels),
            "weight": draw.uniform(channels, low=0.5, high=1.5),
            "bias": draw.uniform(channels, low=-0.5, high=0.5),
        },
        call=call,
        letters={"x": "RC", "weight": "C", "bias": "C"},
        results=("RC",),
        differentiate=("x", "weight", "bias"),
        # The statistics need all rows first, so x is read twice each way.
        work=(Work(bytes=3 * size), Work(bytes=5 * size)),
    )


@builder
def batch_norm_max(case: Case, dtype: torch.dtype) -> Problem:
    """Training: normalise groups, add the shortcut, maximum over the neighbours."""
    function, stats = op("batch_norm_max"), op("batch_norm_relu", "RunningStats")
    batch, queries, k, channels = case.sizes
    draw, size = Draw(case, dtype), batch * queries * k * channels * dtype.itemsize

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        weight = values["weight"]
        assert weight is not None
        mean, deviation = torch.zeros_like(weight).detach(), torch.ones_like(weight).detach()
        return (function(**values, running=stats(mean, deviation), training=True, impl=impl),)

    return Problem(
        inputs={
            "x": draw.normal(batch, queries, k, channels),
            "shortcut": draw.normal(batch, queries, k, channels),
            "weight": draw.uniform(channels, low=0.5, high=1.5),
            "bias": draw.uniform(channels, low=-0.5, high=0.5),
        },
        call=call,
        letters={"x": "BMKC", "shortcut": "BMKC", "weight": "C", "bias": "C"},
        results=("BMC",),
        differentiate=("x", "shortcut", "weight", "bias"),
        work=(Work(bytes=3 * size), Work(bytes=3 * size)),
    )


@builder
def gfcp(case: Case, dtype: torch.dtype) -> Problem:
    """Pooling of HyMamba's tokens."""
    function = op("gfcp")
    batch, tokens, k, channels = case.sizes
    draw = Draw(case, dtype)
    idx = draw.uniform(batch, tokens, tokens).argsort(2)[:, :, :k].contiguous()

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (function(**values, impl=impl),)

    return Problem(
        inputs={
            "feat": draw.normal(batch, tokens, channels),
            "centres": draw.uniform(batch, tokens, 3, low=-1),
            "idx": idx,
            "alpha": draw.uniform(2 * channels, low=0.5, high=1.5),
            "beta": draw.uniform(2 * channels, low=-0.5, high=0.5),
        },
        call=call,
        letters={"feat": "BGC", "centres": "BG3", "idx": "BGK", "alpha": "P", "beta": "P"},
        results=("BGP",),
        differentiate=("feat", "centres", "alpha", "beta"),
        keep={"B": 2},
        work=(),
    )
