"""Values of sixteen numbers: functions against float64, special values, tiny cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numba import njit

from pcmamba.kernels._lanes import (
    LANES,
    exp2,
    fma,
    load,
    sigmoid,
    softplus,
    splat,
    splat_at,
    store,
    total,
    where_negative,
)

FUNCTIONS = {
    "exp2": (0, torch.exp2),
    "softplus": (1, torch.nn.functional.softplus),
    "sigmoid": (2, torch.sigmoid),
}


@njit(error_model="numpy")
def _apply(function, values, out):
    for i in range(0, len(values), LANES):
        x = load(values, i)
        if function == 0:
            x = exp2(x)
        elif function == 1:
            x = softplus(x)
        else:
            x = sigmoid(x)
        store(out, i, x)


def apply(name: str, values: np.ndarray) -> torch.Tensor:
    padded = np.zeros(-(-len(values) // LANES) * LANES, np.float32)
    padded[: len(values)] = values
    out = np.empty_like(padded)
    _apply(FUNCTIONS[name][0], padded, out)
    return torch.from_numpy(out[: len(values)])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_relative_error(name: str) -> None:
    values = np.concatenate([np.linspace(-80, 80, 100_003), np.linspace(-2, 2, 100_003)])
    x = torch.from_numpy(values.astype(np.float32)).double()
    exact = FUNCTIONS[name][1](x)
    error = ((apply(name, values).double() - exact) / exact).abs().max()
    assert error < 2.5 * 2**-23


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("exp2", 0.0, 1.0),
        ("exp2", -math.inf, 0.0),
        ("exp2", -1e30, 0.0),
        ("exp2", 127.75, 2**127.75),
        ("exp2", 128.0, math.inf),
        ("exp2", math.inf, math.inf),
        ("exp2", math.nan, math.nan),
        ("softplus", -math.inf, 0.0),
        ("softplus", math.inf, math.inf),
        ("softplus", math.nan, math.nan),
        ("sigmoid", -math.inf, 0.0),
        ("sigmoid", math.inf, 1.0),
        ("sigmoid", math.nan, math.nan),
    ],
)
def test_special_values(name: str, value: float, want: float) -> None:
    got = apply(name, np.array([value])).item()
    assert got == pytest.approx(want, rel=1e-6, abs=1e-37, nan_ok=True)


@njit(error_model="numpy")
def _small_cases(values, out):
    x = load(values, 0)
    store(out, 0, where_negative(x, splat(np.float32(2)), x))
    store(out, 16, fma(x, x, splat_at(values, 15)))
    store(out, 32, (x - splat_at(values, 0)) / splat(np.float32(4)))
    return total(x)


def test_by_hand() -> None:
    values = np.arange(-4, 12, dtype=np.float32)
    out = np.empty(48, np.float32)
    assert _small_cases(values, out) == 56
    assert out[:16].tolist() == [2.0] * 4 + list(range(12))
    assert out[16:32].tolist() == [v * v + 11 for v in range(-4, 12)]
    assert out[32:].tolist() == [i / 4 for i in range(16)]
