"""Inputs, calls and floors of the benchmark's cases, one function an op."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from bench_problem import Case, Inputs, MissingOp, Problem, Work
from torch import Tensor

from pcmamba import ops

STATES, TAPS = 16, 4
BUILDERS: dict[str, Callable[[Case, torch.dtype], Problem]] = {}


def builder(function: Callable[[Case, torch.dtype], Problem]) -> Callable[..., Problem]:
    """Register a builder under its own name."""
    BUILDERS[function.__name__] = function
    return function


def op(name: str, member: str | None = None) -> Any:
    """Return an op of `pcmamba.ops`, or a name beside it, or say that this version has none."""
    try:
        return getattr(importlib.import_module(f"pcmamba.ops.{name}"), member or name)
    except ModuleNotFoundError:
        raise MissingOp(f"pcmamba.ops has no {name}") from None


class Draw:
    """Random tensors of a case, the same at every call."""

    def __init__(self, case: Case, dtype: torch.dtype) -> None:
        self.device, self.dtype = case.device, dtype
        self.generator = torch.Generator(case.device).manual_seed(3)

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Draw from a normal distribution, in the dtype of the case."""
        draws = torch.randn(shape, generator=self.generator, device=self.device)
        return draws.mul_(scale).to(self.dtype)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw from [low, high), in float32."""
        draws = torch.rand(shape, generator=self.generator, device=self.device)
        return draws.mul_(high - low).add_(low)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Draw from 0 to high - 1."""
        return torch.randint(high, shape, generator=self.generator, device=self.device)


def segmented(length: int) -> int:
    """Steps of a segment by which the oracle goes through a long sequence; 0 for all at once."""
    return 256 if length > 8192 and length % 256 == 0 else 0


def exact_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, reverse: bool, **rest: Any
) -> Tensor:
    """Scan by the reference; long sequences in segments, first for their states, then again."""
    length, segment = u.shape[1], segmented(u.shape[1])
    options = {**rest, "delta_softplus": True, "reverse": reverse, "impl": "reference"}
    if not segment:
        return ops.selective_scan(u, delta, A, B, C, **options)
    count = length // segment
    z, bias = options.pop("z", None), options["delta_bias"]
    rows = [t.unflatten(1, (count, segment)).flatten(0, 1) for t in (u, delta, B, C)]
    own = (rows[0], rows[1], A, rows[2], rows[3])
    ends = ops.selective_scan(*own, **options, return_last_state=True)[1].unflatten(0, (-1, count))
    steps = torch.nn.functional.softplus(rows[1] + bias).sum(1)
    decay = torch.exp(steps[:, :, None].to(ends) * A).unflatten(0, (-1, count))
    state, starts = torch.zeros_like(ends[:, 0]), [ends[:, 0]] * count
    for i in reversed(range(count)) if reverse else range(count):
        starts[i] = state
        state = decay[:, i] * state + ends[:, i]
    y = ops.selective_scan(*own, **options, initial_state=torch.stack(starts, 1).flatten(0, 1))
    y = y.unflatten(0, (-1, count)).flatten(1, 2)
    return y if z is None else y * torch.nn.functional.silu(z)


def scan_inputs(draw: Draw, batch: int, length: int, width: int) -> Inputs:
    """Inputs of one direction, as trained models have them."""
    rate = torch.arange(1, STATES + 1, device=draw.device, dtype=torch.float32)
    return {
        "u": draw.normal(batch, length, width),
        "delta": draw.normal(batch, length, width),
        "A": -rate * draw.uniform(width, 1, low=0.5, high=1.5),
        "B": draw.normal(batch, length, STATES),
        "C": draw.normal(batch, length, STATES),
        "D": draw.uniform(width),
        "z": draw.normal(batch, length, width),
        "delta_bias": draw.uniform(width, low=-5, high=-2),
    }


SCAN_LETTERS = {
    "u": "BLD",
    "delta": "BLD",
    "A": "DS",
    "B": "BLS",
    "C": "BLS",
    "D": "D",
    "z": "BLD",
    "delta_bias": "D",
}


def scan_work(
    rows: int, width: int, size: int, directions: int, conv: bool, two_passes: bool
) -> tuple[Work, Work]:
    """Floor of a scan over `rows` tokens, by the counts of instructions of the formulas.

    Softplus and SiLU take two special functions each. A long single sequence is gone through
    twice.
    """
    tokens, states = rows * width, rows * width * STATES * directions
    per_token = directions * 2 + 2 + (2 * directions if conv else 0)
    exps = states * (2 if two_passes else 1) + tokens * per_token
    forward, backward = (5, 7) if conv else (4, 7)
    return (
        Work(bytes=forward * tokens * size, exps=exps, slots=7 * states),
        Work(bytes=backward * tokens * size, slots=states * (24 if two_passes else 17)),
    )


@builder
def selective_scan(case: Case, dtype: torch.dtype) -> Problem:
    """One direction with softplus, skip and gate."""
    batch, length, width = case.sizes
    inputs = scan_inputs(Draw(case, dtype), batch, length, width)

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (ops.selective_scan(**values, delta_softplus=True, impl=impl),)

    def exact(values: Inputs) -> Sequence[Tensor]:
        return (exact_scan(**values, reverse=False),)

    return Problem(
        inputs=inputs,
        call=call,
        exact=exact,
        letters=SCAN_LETTERS,
        results=("BLD",),
        differentiate=tuple(SCAN_LETTERS),
        keep={"B": 2, "D": 48},
        work=scan_work(batch * length, width, dtype.itemsize, 1, False, batch == 1),
        elements=batch * length * width * STATES,
    )


@builder
def local_bidirectional_scan(case: Case, dtype: torch.dtype) -> Problem:
    """A scan with a reverse scan inside segments of 16 steps."""
    function = op("local_bidirectional_scan")
    batch, length, width = case.sizes

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (function(**values, delta_softplus=True, segment=16, impl=impl),)

    return Problem(
        inputs=scan_inputs(Draw(case, dtype), batch, length, width),
        call=call,
        letters=SCAN_LETTERS,
        results=("BLD",),
        differentiate=tuple(SCAN_LETTERS),
        keep={"B": 2, "D": 48},
        work=scan_work(batch * length, width, dtype.itemsize, 1, False, batch == 1),
        elements=batch * length * width * STATES,
    )


@builder
def causal_conv1d(case: Case, dtype: torch.dtype) -> Problem:
    """One direction with SiLU, four taps."""
    batch, length, width = case.sizes
    draw, size = Draw(case, dtype), batch * length * width * dtype.itemsize

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (ops.causal_conv1d(**values, activation="silu", impl=impl),)

    return Problem(
        inputs={
            "x": draw.normal(batch, length, width),
            "weight": draw.uniform(width, TAPS, low=-0.5, high=0.5),
            "bias": draw.uniform(width, low=-0.5, high=0.5),
        },
        call=call,
        letters={"x": "BLD", "weight": "DW", "bias": "D"},
        results=("BLD",),
        differentiate=("x", "weight", "bias"),
        keep={"B": 2},
        work=(Work(bytes=2 * size), Work(bytes=3 * size)),
    )


@builder
def add_rms_norm(case: Case, dtype: torch.dtype) -> Problem:
    """Residual in float32, rows and result in the dtype of the case."""
    function = op("add_rms_norm")
    rows, width = case.sizes
    draw, size = Draw(case, dtype), rows * width

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return tuple(function(**values, dtype=dtype if impl != "reference" else None, impl=impl))

    return Problem(
        inputs={
            "x": draw.normal(rows, width),
            "weight": draw.uniform(width, low=0.5, high=1.5),
            "residual": draw.uniform(rows, width, low=-1),
        },
        call=call,
        letters={"x": "RC", "weight": "C", "residual": "RC"},
        results=("RC", "RC"),
        differentiate=("x", "weight", "residual"),
        work=(
            Work(bytes=size * (2 * dtype.itemsize + 8)),
            Work(bytes=size * (2 * dtype.itemsize + 12)),
        ),
    )


@builder
def serialize(case: Case, dtype: torch.dtype) -> Problem:
    """Two orders, codes, sort and inverse."""
    batch, points = case.sizes
    xyz = Draw(case, torch.float32).uniform(batch, points, 3, low=-1)

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return tuple(ops.serialize(values["xyz"], ("cts-xyz", "hilbert"), depth=10, impl=impl))

    def exact(values: Inputs) -> Sequence[Tensor]:
        # Cells are defined by division in float32.
        return call({"xyz": values["xyz"].float()}, "reference")

    return Problem(
        inputs={"xyz": xyz},
        call=call,
        exact=exact,
        letters={"xyz": "BN3"},
        results=("OBN", "OBN", "OBN"),
        keep={"B": 4},
        # Integer instructions issue at half the rate.
        work=(Work(bytes=batch * points * (12 + 2 * 24), slots=2 * 400 * batch * points),),
    )


@builder
def farthest_point_sample(case: Case, dtype: torch.dtype) -> Problem:
    """Clouds of uniform points; a chain of steps, for which no floor is given."""
    batch, points, samples = case.sizes
    xyz = Draw(case, torch.float32).uniform(batch, points, 3, low=-1)

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (ops.farthest_point_sample(values["xyz"].float(), samples, impl=impl),)

    return Problem({"xyz": xyz}, call, {"xyz": "BN3"}, ("BM",), keep={"B": 2})


@builder
def knn(case: Case, dtype: torch.dtype) -> Problem:
    """Clouds of uniform points, the queries among them."""
    batch, queries, points, k = case.sizes
    draw = Draw(case, torch.float32)
    support = draw.uniform(batch, points, 3, low=-1)
    query = support[:, torch.randperm(points, device=case.device)[:queries]]

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return tuple(ops.knn(values["query"].float(), values["support"].float(), k, impl=impl))

    return Problem(
        inputs={"query": query, "support": support},
        call=call,
        letters={"query": "BM3", "support": "BN3"},
        results=("BMK", "BMK"),
        keep={"B": 4, "M": 512},
        work=(Work(bytes=batch * queries * k * 12, slots=7 * batch * queries * points),),
    )


@builder
def ball_query(case: Case, dtype: torch.dtype) -> Problem:
    """Clouds of uniform points in the unit ball's cube, radius 0.2."""
    batch, queries, points, k = case.sizes
    support = Draw(case, torch.float32).uniform(batch, points, 3, low=-1)
    query = support[:, :queries].contiguous()

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        query, support = values["query"].float(), values["support"].float()
        return tuple(ops.ball_query(query, support, 0.2, k, impl=impl))

    return Problem(
        inputs={"query": query, "support": support},
        call=call,
        letters={"query": "BM3", "support": "BN3"},
        results=("BMK", "BMK"),
        keep={"B": 4, "M": 512},
        work=(Work(bytes=batch * queries * k * 12, slots=7 * batch * queries * points),),
    )


def pooled(
    case: Case, dtype: torch.dtype, pool: Callable[[Tensor, Tensor, str], Tensor]
) -> Problem:
    """Features of neighbours, reduced over the neighbours."""
    batch, queries, k, channels, points = case.sizes
    draw, size = Draw(case, dtype), channels * dtype.itemsize

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (pool(values["feat"], values["idx"], impl),)

    return Problem(
        inputs={
            "feat": draw.normal(batch, points, channels),
            "idx": draw.integers(points, batch, queries, k),
        },
        call=call,
        letters={"feat": "BNC", "idx": "BMK"},
        results=("BMC",),
        differentiate=("feat",),
        keep={"B": 2},
        work=(
            Work(bytes=batch * (points + queries) * size, l2_bytes=batch * queries * k * size),
            Work(bytes=batch * (points * size + queries * (size + channels))),
        ),
    )


@builder
def group_max(case: Case, dtype: torch.dtype) -> Problem:
    """Gather and maximum; without the fused op, `group` and torch's maximum."""
    function = op("group_max")
    return pooled(case, dtype, lambda feat, idx, impl: function(feat, idx, impl=impl))


@builder
def group_then_max(case: Case, dtype: torch.dtype) -> Problem:
    """Gather, then torch's maximum: the composition that `group_max` replaces."""
    return pooled(case, dtype, lambda feat, idx, impl: ops.group(feat, idx, impl=impl).amax(2))


@builder
def interpolate_knn(case: Case, dtype: torch.dtype) -> Problem:
    """Features of the three nearest points."""
    batch, queries, k, channels, points = case.sizes
    draw, size = Draw(case, dtype), channels * dtype.itemsize

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        neighbors = ops.Neighbors(values["idx"], values["dist2"])
        return (ops.interpolate_knn(values["feat"], neighbors, impl=impl),)

    return Problem(
        inputs={
            "feat": draw.normal(batch, points, channels),
            "idx": draw.integers(points, batch, queries, k),
            "dist2": draw.uniform(batch, queries, k, low=0.01),
        },
        call=call,
        letters={"feat": "BNC", "idx": "BMK", "dist2": "BMK"},
        results=("BMC",),
        differentiate=("feat", "dist2"),
        keep={"B": 2},
        work=(
            Work(bytes=batch * (points + queries) * size, l2_bytes=batch * queries * k * size),
            Work(bytes=batch * (2 * points + queries) * size, l2_bytes=batch * queries * k * size),
        ),
    )


@builder
def lif(case: Case, dtype: torch.dtype) -> Problem:
    """Neurons of SpikMamba: hard reset, detached, sigmoid surrogate."""
    function = op("lif")
    steps, neurons = case.sizes
    x = Draw(case, torch.float32).uniform(steps, neurons, low=-0.75, high=2.25)

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (function(values["x"], impl=impl).spikes,)

    size = steps * neurons * dtype.itemsize
    return Problem(
        inputs={"x": x.to(dtype)},
        call=call,
        letters={"x": "TX"},
        results=("TX",),
        differentiate=("x",),
        keep={"X": 1 << 16},
        work=(Work(bytes=2 * size), Work(bytes=3 * size)),
    )
