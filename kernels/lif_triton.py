"""Triton kernels of `lif`: a lane owns neurons and walks through time.

The backward pass is given nothing of the forward one: it charges the membrane again, in the same
order of operations, holds the potentials of a segment of steps in registers and walks back.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

SEGMENT = 32  # steps whose potentials a lane of the backward pass holds in registers
SURROGATES = {"sigmoid": 0, "atan": 1, "triangle": 2, "erf": 3}
WARPS = 4


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
    spikes = torch.empty_like(x)
    v_end = x.new_empty(x.shape[1], dtype=torch.float32)
    v_seq = x.new_empty(x.shape if return_v else (0,), dtype=torch.float32)
    neuron = _neuron(tau, v_threshold, v_reset, decay_input)
    _charge(x, v0, spikes, v_end, v_seq if return_v else None, neuron)
    return spikes, v_end, v_seq


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
    steps, neurons = x.shape
    dx = torch.empty_like(x)
    carry = x.new_empty(neurons, dtype=torch.float32)
    if x.numel() == 0:
        return dx, carry.zero_() if grad_v_end is None else carry.copy_(grad_v_end)
    neuron = _neuron(tau, v_threshold, v_reset, decay_input)
    options = {"DETACH": detach_reset, "SURROGATE": SURROGATES[surrogate], "num_warps": WARPS}
    later = grad_v_end
    for begin, start in _segments(x, v0, neuron):
        part = slice(begin, min(begin + SEGMENT, steps))
        block = (512 if part.stop - begin <= SEGMENT // 2 else 256) * WARPS // 4
        _bwd_kernel[(triton.cdiv(neurons, block),)](
            None if grad_spikes is None else grad_spikes[part], later,
            None if grad_v_seq is None else grad_v_seq[part], x[part], start, dx[part], carry,
            neurons, alpha=alpha, T=part.stop - begin, BLOCK_M=block, **neuron, **options,
        )  # fmt: skip
        later = carry
    return dx, carry


def _segments(
    x: Tensor, v0: Tensor | None, neuron: dict[str, Any]
) -> list[tuple[int, Tensor | None]]:
    """Return the first step of each segment and the membrane before it, from last to first."""
    found = [(0, v0)]
    for begin in range(SEGMENT, len(x), SEGMENT):
        start = x.new_empty(x.shape[1], dtype=torch.float32)
        _charge(x[begin - SEGMENT : begin], found[-1][1], None, start, None, neuron)
        found.append((begin, start))
    return found[::-1]


def _charge(
    x: Tensor,
    v0: Tensor | None,
    spikes: Tensor | None,
    v_end: Tensor,
    v_seq: Tensor | None,
    neuron: dict[str, Any],
) -> None:
    steps, neurons = x.shape
    block = 128 * WARPS
    if neurons:
        _fwd_kernel[(triton.cdiv(neurons, block),)](
            x, v0, spikes, v_end, v_seq, neurons, steps, BLOCK_M=block, num_warps=WARPS, **neuron
        )


def _neuron(
    tau: float, v_threshold: float, v_reset: float | None, decay_input: bool
) -> dict[str, Any]:
    """Arguments that both kernels share; fusing a product with a sum would round otherwise."""
    exact = math.frexp(tau)[0] == 0.5  # then 1 / tau is exact, and so is dividing by multiplying
    return {
        "tau": 1.0 / tau if exact else tau,
        "v_threshold": v_threshold,
        "v_reset": 0.0 if v_reset is None else v_reset,
        "HARD": v_reset is not None,
        "DECAY": decay_input,
        "EXACT": exact,
        "enable_fp_fusion": False,
    }


@triton.jit
def _over_tau(value, tau, EXACT: tl.constexpr):
    return value * tau if EXACT else tl.div_rn(value, tau + tl.zeros_like(value))


@triton.jit
def _step(
    v, x, tau, v_threshold, v_reset,
    HARD: tl.constexpr, DECAY: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """Potential after charging, spike, and potential after the reset."""
    h = (
        v + _over_tau(x - (v - v_reset), tau, EXACT)
        if DECAY
        else (v - _over_tau(v - v_reset, tau, EXACT)) + x
    )
    spike = tl.where(h >= v_threshold, 1.0, 0.0)
    v = spike * v_reset + (1.0 - spike) * h if HARD else h - spike * v_threshold
    return h, spike, v


@triton.jit
def _first(v0_ptr, offs, mask, v_reset, BLOCK_M: tl.constexpr):
    v = tl.zeros((BLOCK_M,), tl.float32) + v_reset
    if v0_ptr is not None:
        v = tl.load(v0_ptr + offs, mask=mask, other=0.0)
    return v


@triton.jit
def _fwd_kernel(
    x_ptr, v0_ptr, spike_ptr, v_end_ptr, v_seq_ptr,
    M, T, tau, v_threshold, v_reset,
    HARD: tl.constexpr, DECAY: tl.constexpr, EXACT: tl.constexpr, BLOCK_M: tl.constexpr,
):  # fmt: skip
    offs_m = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    mask_m = offs_m < M
    v = _first(v0_ptr, offs_m, mask_m, v_reset, BLOCK_M)
    row = offs_m
    for _ in range(0, T):
        x = tl.load(x_ptr + row, mask=mask_m, other=0.0).to(tl.float32)
        _h, spike, v = _step(v, x, tau, v_threshold, v_reset, HARD, DECAY, EXACT)
        if spike_ptr is not None:
            tl.store(spike_ptr + row, spike, mask=mask_m)
        if v_seq_ptr is not None:
            tl.store(v_seq_ptr + row, v, mask=mask_m)
        row += M
    tl.store(v_end_ptr + offs_m, v, mask=mask_m)


@triton.jit
def _slope(u, alpha, SURROGATE: tl.constexpr):
    """Derivative that stands for the one of the step at u."""
    z = alpha * u
    if SURROGATE == 0:
        small = tl.exp(-tl.abs(z))
        q = tl.div_rn(tl.where(z >= 0.0, 1.0, small), 1.0 + small)
        slope = ((1.0 - q) * q) * alpha
    elif SURROGATE == 1:
        z = 1.5707963267948966 * z
        slope = tl.div_rn(0.5 * alpha + tl.zeros_like(u), 1.0 + z * z)
    elif SURROGATE == 2:
        slope = tl.maximum(alpha - alpha * tl.abs(z), 0.0)
    else:
        slope = (0.5641895835477563 * alpha) * tl.exp(-(z * z))
    return slope


@triton.jit
def _bwd_kernel(
    grad_spike_ptr, grad_v_end_ptr, grad_v_seq_ptr, x_ptr, v0_ptr, dx_ptr, carry_ptr,
    M, tau, v_threshold, v_reset, alpha,
    HARD: tl.constexpr, DECAY: tl.constexpr, EXACT: tl.constexpr, DETACH: tl.constexpr,
    SURROGATE: tl.constexpr, T: tl.constexpr, BLOCK_M: tl.constexpr,
):  # fmt: skip
    offs_m = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    mask_m = offs_m < M
    step_m = tl.zeros((BLOCK_M,), tl.int64) + M
    v = _first(v0_ptr, offs_m, mask_m, v_reset, BLOCK_M)
    potentials = ()
    for t in tl.static_range(T):
        x = tl.load(x_ptr + (offs_m + t * step_m), mask=mask_m, other=0.0).to(tl.float32)
        h, _spike, v = _step(v, x, tau, v_threshold, v_reset, HARD, DECAY, EXACT)
        potentials = potentials + (h,)  # type: ignore[assignment] # noqa: RUF005
    carry = tl.zeros((BLOCK_M,), tl.float32)
    if grad_v_end_ptr is not None:
        carry += tl.load(grad_v_end_ptr + offs_m, mask=mask_m, other=0.0)
    for back in tl.static_range(T):
        h = potentials[T - 1 - back]
        row = offs_m + (T - 1 - back) * step_m
        if grad_v_seq_ptr is not None:
            carry += tl.load(grad_v_seq_ptr + row, mask=mask_m, other=0.0)
        e = tl.zeros((BLOCK_M,), tl.float32)
        if grad_spike_ptr is not None:
            e += tl.load(grad_spike_ptr + row, mask=mask_m, other=0.0).to(tl.float32)
        if not DETACH:
            e += carry * v_reset - carry * h if HARD else -(carry * v_threshold)
        charged = e * _slope(h - v_threshold, alpha, SURROGATE)
        charged += tl.where(h >= v_threshold, 0.0, carry) if HARD else carry
        leaked = _over_tau(charged, tau, EXACT)
        tl.store(dx_ptr + row, leaked if DECAY else charged, mask=mask_m)
        carry = charged - leaked
    tl.store(carry_ptr + offs_m, carry, mask=mask_m)
