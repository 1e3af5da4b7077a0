"""Inputs, calls and floors of the cases with two directions."""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib
from collections.abc import Sequence
from typing import Any
from unittest import mock

import torch
from bench_inputs import STATES, TAPS, Draw, builder, exact_scan, op, scan_inputs, scan_work
from bench_problem import Case, Inputs, Problem, Work
from torch import Tensor
from torch.nn import functional as F

from pcmamba import ops
from pcmamba.nn import BidirectionalMamba

SHARED = {"x": "BLD", "z": "BLD"}
OWN = {
    "conv_weight": "DW",
    "conv_bias": "D",
    "delta": "BLD",
    "B": "BLS",
    "C": "BLS",
    "dt_bias": "D",
    "A_log": "DS",
    "D": "D",
}
DIRECTIONS = ("ahead", "back")
LETTERS = SHARED | {f"{own}_{way}": s for way in DIRECTIONS for own, s in OWN.items()}


def core_inputs(draw: Draw, batch: int, length: int, width: int) -> Inputs:
    """X and z, and the parameters and steps of each direction under names of its own."""
    inputs: Inputs = {}
    for way in DIRECTIONS:
        own = scan_inputs(draw, batch, length, width)
        own["conv_weight"] = draw.uniform(width, TAPS, low=-0.5, high=0.5)
        own["conv_bias"] = draw.uniform(width, low=-0.5, high=0.5)
        own["A_log"] = own.pop("A").neg().log()
        own["dt_bias"] = own.pop("delta_bias")
        inputs["x"], inputs["z"] = own.pop("u"), own.pop("z")
        inputs |= {f"{name}_{way}": tensor for name, tensor in own.items()}
    return {name: inputs[name] for name in LETTERS}


def direction(values: Inputs, way: str) -> dict[str, Any]:
    """The inputs of one direction under their plain names."""
    return {own: values[f"{own}_{way}"] for own in OWN}


def composed(values: Inputs, impl: str) -> Sequence[Tensor]:
    """Convolve, scan, add and gate by one op after the other; "exact" in segments if long."""
    total: Any = 0
    for way in DIRECTIONS:
        own, reverse = direction(values, way), way == "back"
        weight, bias = own.pop("conv_weight"), own.pop("conv_bias")
        chosen: Any = "reference" if impl == "exact" else impl
        own["A"], own["delta_bias"] = -own.pop("A_log").exp(), own.pop("dt_bias")
        options: dict[str, Any] = {"activation": "silu", "reverse": reverse, "impl": chosen}
        u = ops.causal_conv1d(values["x"], weight, bias, **options)
        if impl == "exact":
            y: Any = exact_scan(u, reverse=reverse, **own)
        else:
            y = ops.selective_scan(u, delta_softplus=True, reverse=reverse, impl=chosen, **own)
        total = total + y
    return (total * F.silu(values["z"]),)


@builder
def bidirectional_core(case: Case, dtype: torch.dtype) -> Problem:
    """Convolutions, scans, sum and gate of a bidirectional mixer as one op."""
    function = op("bidirectional_core")
    branch = importlib.import_module("pcmamba.ops.bidirectional_core").CoreBranch

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        branches = tuple(branch(**direction(values, w), reverse=w == "back") for w in DIRECTIONS)
        return (function(values["x"], values["z"], branches, impl=impl),)

    return dataclasses.replace(composed_core(case, dtype), call=call)


@builder
def composed_core(case: Case, dtype: torch.dtype) -> Problem:
    """The core of a bidirectional mixer as a composition of public ops."""
    batch, length, width = case.sizes
    return Problem(
        inputs=core_inputs(Draw(case, dtype), batch, length, width),
        call=composed,
        exact=lambda values: composed(values, "exact"),
        letters=LETTERS,
        results=("BLD",),
        differentiate=tuple(LETTERS),
        keep={"B": 2, "D": 48},
        work=scan_work(batch * length, width, dtype.itemsize, 2, True, batch == 1),
        elements=2 * batch * length * width * STATES,
    )


@builder
def mixer(case: Case, dtype: torch.dtype) -> Problem:
    """A whole bidirectional mixer, gradient to its input only; under autocast in half precision."""
    batch, length, channels = case.sizes
    torch.manual_seed(3)
    plain = BidirectionalMamba(channels).to(case.device).requires_grad_(False)
    wide = copy.deepcopy(plain).double()

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        x = values["x"]
        assert x is not None
        chosen = functools.partial(ops.bidirectional_scan, impl=impl)
        half = dtype != torch.float32 and x.dtype != torch.float64
        with (
            mock.patch("pcmamba.nn.bidirectional_mamba.bidirectional_scan", chosen),
            torch.autocast(case.device, dtype, enabled=half),
        ):
            return ((wide if x.dtype == torch.float64 else plain)(x),)

    width = 2 * channels
    forward, backward = scan_work(batch * length, width, dtype.itemsize, 2, True, batch == 1)
    return Problem(
        inputs={"x": Draw(case, torch.float32).uniform(batch, length, channels, low=-1)},
        call=call,
        letters={"x": "BLC"},
        results=("BLC",),
        differentiate=("x",),
        keep={"B": 2},
        work=(Work(exps=forward.exps), Work(slots=backward.slots)),
        elements=2 * batch * length * width * STATES,
    )
