"""CPU loops of `lif`: a task owns a stretch of neurons and walks through time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels._lanes import LANES, load, sigmoid, store

TASK = 256  # neurons; with 64 steps their potentials fill 64 KiB
SURROGATES = {"sigmoid": 0, "atan": 1, "triangle": 2, "erf": 3}
_F = np.float32
_NONE = np.empty((0, 0), np.float32)


def lif_fwd(
    x: Tensor,
    v0: Tensor | None,
    tau: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    return_v: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return spikes (T, M) like x, the last membrane (M,) float32 and, if asked, all of it."""
    spikes = torch.empty(x.shape)
    v_seq = torch.empty(x.shape if return_v else (0, 0))
    v_end = _first(x, v0, v_reset)
    limit_threads()
    _forward(
        _rows(x), v_end.numpy(), spikes.numpy(), v_seq.numpy(),
        _F(tau), _F(v_threshold), _F(v_reset or 0.0), v_reset is not None, decay_input,
    )  # fmt: skip
    return spikes.to(x.dtype), v_end, v_seq if return_v else v_seq.view(0)


def lif_bwd(
    grad_spikes: Tensor | None,
    grad_v_end: Tensor | None,
    grad_v_seq: Tensor | None,
    x: Tensor,
    v0: Tensor | None,
    tau: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: str,
    alpha: float,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of x (T, M), in its dtype, and of the first membrane (M,) float32."""
    dx = torch.empty(x.shape)
    carry = torch.zeros(x.shape[1]) if grad_v_end is None else grad_v_end.clone()
    limit_threads()
    _backward(
        _rows(x), _first(x, v0, v_reset).numpy(), _rows(grad_spikes), _rows(grad_v_seq),
        dx.numpy(), carry.numpy(),
        _F(tau), _F(v_threshold), _F(v_reset or 0.0), v_reset is not None, decay_input,
        detach_reset, SURROGATES[surrogate], _F(alpha),
    )  # fmt: skip
    return dx.to(x.dtype), carry


def _rows(tensor: Tensor | None) -> Array:
    return _NONE if tensor is None else tensor.detach().float().numpy()


def _first(x: Tensor, v0: Tensor | None, v_reset: float | None) -> Tensor:
    """Return a membrane (M,) of its own to start from."""
    if v0 is None:
        return torch.full(x.shape[1:], v_reset or 0.0)
    return v0.detach().clone(memory_format=torch.contiguous_format)


@njit(cache=True, error_model="numpy")
def _charge(v: Any, x: Any, tau: Any, rest: Any, decay: bool) -> Any:
    if decay:
        return v + (x - (v - rest)) / tau
    return (v - (v - rest) / tau) + x


@njit(cache=True, error_model="numpy")
def _reset(h: Any, threshold: Any, rest: Any, hard: bool) -> Any:
    spike = _F(1.0) if h >= threshold else _F(0.0)
    if hard:
        return spike * rest + (_F(1.0) - spike) * h
    return h - spike * threshold


# The rows of a stretch are cut out first: only loops over whole arrays of one axis are compiled to
# vector instructions, since an index such as [t, low + i] might be negative and count from the end.


@njit(cache=True, error_model="numpy")
def _fire(
    x: Array, v: Array, spikes: Array,
    tau: Any, threshold: Any, rest: Any, hard: bool, decay: bool,
) -> None:  # fmt: skip
    for i in range(len(v)):
        h = _charge(v[i], x[i], tau, rest, decay)
        spikes[i] = _F(1.0) if h >= threshold else _F(0.0)
        v[i] = _reset(h, threshold, rest, hard)


@njit(parallel=True, cache=True, error_model="numpy")
def _forward(
    x: Array, v: Array, spikes: Array, v_seq: Array,
    tau: Any, threshold: Any, rest: Any, hard: bool, decay: bool,
) -> None:  # fmt: skip
    neurons = x.shape[1]
    for task in prange((neurons + TASK - 1) // TASK):
        low = task * TASK
        high = min(low + TASK, neurons)
        now = v[low:high]
        for t in range(len(x)):
            _fire(x[t, low:high], now, spikes[t, low:high], tau, threshold, rest, hard, decay)
            if len(v_seq):
                v_seq[t, low:high] = now


@njit(cache=True, error_model="numpy")
def _slopes(u: Array, surrogate: int, alpha: Any) -> None:
    """Put the derivatives that stand for those of the step in the place of TASK potentials."""
    one = _F(1.0)
    if surrogate == 0:
        for i in range(TASK):
            u[i] = alpha * u[i]
        for i in range(0, TASK, LANES):
            store(u, i, sigmoid(load(u, i)))
        for i in range(TASK):
            u[i] = ((one - u[i]) * u[i]) * alpha
    elif surrogate == 1:
        for i in range(TASK):
            z = _F(np.pi / 2) * (alpha * u[i])
            u[i] = _F(0.5) * alpha / (one + z * z)
    elif surrogate == 2:
        for i in range(TASK):
            u[i] = max(alpha - alpha * abs(alpha * u[i]), _F(0.0))
    else:
        for i in range(TASK):
            z = alpha * u[i]
            u[i] = _F(1.0 / np.sqrt(np.pi)) * alpha * np.exp(-(z * z))


@njit(cache=True, error_model="numpy")
def _charge_again(
    x: Array, v: Array, potential: Array,
    tau: Any, threshold: Any, rest: Any, hard: bool, decay: bool,
) -> None:  # fmt: skip
    for i in range(len(v)):
        potential[i] = _charge(v[i], x[i], tau, rest, decay)
        v[i] = _reset(potential[i], threshold, rest, hard)


@njit(cache=True, error_model="numpy")
def _step_back(
    potential: Array, slope: Array, grad_spike: Array, carry: Array, dx: Array,
    tau: Any, threshold: Any, rest: Any, hard: bool, decay: bool, detach: bool,
) -> None:  # fmt: skip
    for i in range(len(carry)):
        h, later, e = potential[i], carry[i], grad_spike[i]
        if not detach:
            e += later * rest - later * h if hard else -(later * threshold)
        kept = _F(0.0) if hard and h >= threshold else later
        charged = e * slope[i] + kept
        leaked = charged / tau
        dx[i] = leaked if decay else charged
        carry[i] = charged - leaked


@njit(parallel=True, cache=True, error_model="numpy")
def _backward(
    x: Array, v0: Array, grad_spikes: Array, grad_v_seq: Array, dx: Array, carry: Array,
    tau: Any, threshold: Any, rest: Any, hard: bool, decay: bool,
    detach: bool, surrogate: int, alpha: Any,
) -> None:  # fmt: skip
    steps, neurons = x.shape
    for task in prange((neurons + TASK - 1) // TASK):
        low = task * TASK
        high = min(low + TASK, neurons)
        potential = np.empty((steps, high - low), np.float32)
        v = v0[low:high].copy()
        for t in range(steps):
            _charge_again(x[t, low:high], v, potential[t], tau, threshold, rest, hard, decay)
        slope, none = np.zeros(TASK, np.float32), np.zeros(TASK, np.float32)
        later = carry[low:high]
        for t in range(steps - 1, -1, -1):
            slope[: high - low] = potential[t] - threshold
            _slopes(slope, surrogate, alpha)
            if len(grad_v_seq):
                later += grad_v_seq[t, low:high]
            grad = grad_spikes[t, low:high] if len(grad_spikes) else none
            _step_back(
                potential[t], slope, grad, later, dx[t, low:high],
                tau, threshold, rest, hard, decay, detach,
            )  # fmt: skip
