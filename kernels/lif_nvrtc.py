"""Launchers of `lif.cu`: the kernels of the Triton form with a smaller cost on the host."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from pcmamba.kernels._nvrtc import Kernel, load

SEGMENT = 32  # steps whose potentials a thread of the backward pass holds in registers
THREADS = 128
TYPES = {torch.float32: "float", torch.bfloat16: "bfloat16", torch.float16: "float16"}
SURROGATES = {"sigmoid": 0, "atan": 1, "triangle": 2, "erf": 3}


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
    steps, neurons = x.shape
    spikes = torch.empty_like(x)
    v_end = torch.empty(neurons, device=x.device)
    v_seq = torch.empty((steps, neurons) if return_v else (0,), device=x.device)
    _charge(
        x, v0, spikes, v_end, v_seq if return_v else None, tau, v_threshold, v_reset, decay_input
    )
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
    dx, carry = torch.empty_like(x), torch.empty(neurons, device=x.device)
    if x.numel() == 0:
        return dx, carry.zero_() if grad_v_end is None else carry.copy_(grad_v_end)
    starts = _starts(x, v0, tau, v_threshold, v_reset, decay_input)
    exact, later = _is_power_of_two(tau), grad_v_end
    for first in range((steps - 1) // SEGMENT * SEGMENT, -1, -SEGMENT):
        count, start = min(SEGMENT, steps - first), starts[first // SEGMENT]
        rows = [_rows(part, first, count, steps) for part in (grad_spikes, grad_v_seq, x, dx)]
        most = 4 if count <= SEGMENT // 2 else 2
        width = _width(neurons, most, *rows, later, start)
        kernel = _kernel(
            "backward", "PPPPPPPqffff", x.dtype, width, v_reset is not None, decay_input, exact,
            detach_reset, SURROGATES[surrogate], count, x.get_device(),
        )  # fmt: skip
        kernel(
            _blocks(neurons, width), THREADS,
            rows[0], later, rows[1], rows[2], start, rows[3], carry,
            neurons, 1.0 / tau if exact else tau, v_threshold, v_reset or 0.0, alpha,
        )  # fmt: skip
        later = carry
    return dx, carry


def _rows(tensor: Tensor | None, first: int, count: int, steps: int) -> Tensor | None:
    return tensor if tensor is None or count == steps else tensor[first : first + count]


def _starts(
    x: Tensor,
    v0: Tensor | None,
    tau: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
) -> list[Tensor | None]:
    """Return the membrane before each segment, from the first on."""
    found = [v0]
    for first in range(SEGMENT, len(x), SEGMENT):
        start = torch.empty(x.shape[1], device=x.device)
        part = x[first - SEGMENT : first]
        _charge(part, found[-1], None, start, None, tau, v_threshold, v_reset, decay_input)
        found.append(start)
    return found


def _charge(
    x: Tensor,
    v0: Tensor | None,
    spikes: Tensor | None,
    v_end: Tensor,
    v_seq: Tensor | None,
    tau: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
) -> None:
    steps, neurons = x.shape
    exact = _is_power_of_two(tau)
    width = _width(neurons, 4, x, v0)
    kernel = _kernel(
        "forward", "PPPPPqifff", x.dtype, width, v_reset is not None, decay_input, exact,
        True, 0, 1, x.get_device(),
    )  # fmt: skip
    kernel(
        _blocks(neurons, width), THREADS,
        x, v0, spikes, v_end, v_seq,
        neurons, steps, 1.0 / tau if exact else tau, v_threshold, v_reset or 0.0,
    )  # fmt: skip


def _is_power_of_two(tau: float) -> bool:
    """Tell whether 1 / tau is exact, so that a product does for the division."""
    return math.frexp(tau)[0] == 0.5


def _width(neurons: int, most: int, *tensors: Tensor | None) -> int:
    """Neurons of a thread: as many as rows and the inputs' addresses are aligned to."""
    for tensor in tensors:
        if tensor is not None and tensor.data_ptr() % 16:
            return 1
    return most if neurons % 8 == 0 else 1


def _blocks(neurons: int, width: int) -> tuple[int, int, int]:
    return (neurons + width * THREADS - 1) // (width * THREADS), 1, 1


@functools.cache
def _kernel(
    entry: str,
    signature: str,
    dtype: torch.dtype,
    width: int,
    hard: bool,
    decay: bool,
    exact: bool,
    detach: bool,
    surrogate: int,
    steps: int,
    device: int,
) -> Kernel:
    macros = (
        ("IN", TYPES[dtype]), ("WIDTH", width), ("HARD", int(hard)), ("DECAY", int(decay)),
        ("EXACT", int(exact)), ("DETACH", int(detach)), ("SURROGATE", surrogate), ("STEPS", steps),
    )  # fmt: skip
    return load("lif", entry, signature, macros, device)
