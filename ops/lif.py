"""Leaky integrate-and-fire neurons over several steps.

    h_t = v_{t-1} + (x_t - (v_{t-1} - r)) / tau       or, without decay_input,
    h_t = (v_{t-1} - (v_{t-1} - r) / tau) + x_t
    s_t = 1 where h_t >= v_threshold, else 0
    v_t = s_t r + (1 - s_t) h_t                        hard reset, r = v_reset
    v_t = h_t - s_t v_threshold                        soft reset, r = 0

in this order of operations, so that spikes and membranes in float32 are bit for bit those of
spikingjelly 2.0. With tau infinite and no decay_input nothing leaks: h_t = v_{t-1} + x_t. The
backward pass takes the derivative of a surrogate for the one of the step.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._once import refuse
from pcmamba.ops._register import LIBRARY, register
from pcmamba.ops._sequences import check_floats, working_dtype
from pcmamba.ops._surrogate import DEFAULT_ALPHA, Surrogate, fire
from pcmamba.registry import unknown_name


class Spikes(NamedTuple):
    """What neurons did.

    Attributes:
        spikes: (T, ...) 0 or 1, in the dtype of the input.
        v_end: (...) membrane after the last step: the `v0` of the steps that follow.
        v_seq: (T, ...) membranes after each step's reset, or None where they were not asked for.
    """

    spikes: Tensor
    v_end: Tensor
    v_seq: Tensor | None


def lif(
    x: Tensor,
    v0: Tensor | None = None,
    *,
    tau: float = 2.0,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    detach_reset: bool = True,
    surrogate: Surrogate = "sigmoid",
    alpha: float | None = None,
    return_v: bool = False,
    impl: Impl = "auto",
) -> Spikes:
    """Charge, fire and reset every neuron at each step.

    Membranes are float32 for every input but float64. Neurons have no influence on each other,
    and steps in chunks, `v_end` of one being `v0` of the next, give the bits of one call.
    Differentiable in `x` and `v0`, through all three results.

    Args:
        x: (T, ...) input currents, step by step.
        v0: (...) membrane before the first step; by default at rest: `v_reset`, or 0.
        tau: Time constant in steps, above 1; `math.inf`, without `decay_input`, has no leak.
        v_threshold: A membrane at or above it fires.
        v_reset: Membrane after a spike; None subtracts `v_threshold` instead.
        decay_input: Divide the input by `tau` too.
        detach_reset: Let no gradient pass through the spike into the reset.
        surrogate: "sigmoid", "atan", "triangle" or "erf".
        alpha: Steepness of the surrogate, by default 4 (sigmoid), 2 (atan, erf) or 1 (triangle).
        return_v: Return the membranes after each step too.
        impl: "reference", "cpu", "triton", "nvrtc" or "auto". A named choice never falls back. The
            kernels keep nothing for the backward pass but `x` and `v0`.

    Returns:
        `Spikes(spikes, v_end, v_seq)`.

    Raises:
        ValueError: Shapes disagree, `tau <= 1`, `alpha <= 0`, a constant is not finite (but `tau`
            without `decay_input`), or `surrogate` is unknown.
        TypeError: A dtype is wrong, or float64 meets an `impl` that is not "reference".
        NotImplementedError: The result is differentiated twice, other than by "reference".

    Source: Fang et al., SpikingJelly (Science Advances 2023); surrogates there.
    """
    alpha = _check(x, v0, tau, v_threshold, v_reset, decay_input, surrogate, alpha)
    chosen = _resolve(impl, x, v0)
    if chosen == "reference":
        return lif_reference(
            x, v0, tau, v_threshold, v_reset, decay_input, detach_reset, surrogate, alpha, return_v
        )
    shape = x.shape[1:]
    rows = x.reshape(len(x), math.prod(shape))
    first = None if v0 is None else v0.reshape(-1).float()
    run = _Lif.apply if _is_plain(rows) else lif_fwd
    spikes, v_end, v_seq = run(
        rows, first, tau, v_threshold, v_reset, decay_input, detach_reset, surrogate, alpha,
        return_v, chosen,
    )  # fmt: skip
    return Spikes(
        spikes.view(x.shape), v_end.view(shape), v_seq.view(x.shape) if return_v else None
    )


def _check(
    x: Tensor,
    v0: Tensor | None,
    tau: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    surrogate: str,
    alpha: float | None,
) -> float:
    """Check the arguments and return alpha."""
    if x.dim() == 0:
        raise ValueError("x must be (T, ...), got a single number")
    if v0 is not None and v0.shape != x.shape[1:]:
        raise ValueError(f"v0 must be {tuple(x.shape[1:])}, as a step of x, got {tuple(v0.shape)}")
    check_floats(x=x, v0=v0)
    if not tau > 1:
        raise ValueError(f"tau must be above 1, got {tau}")
    if tau == math.inf and decay_input:
        raise ValueError(
            "tau must be finite with decay_input, got inf: it would take all of x away; "
            "decay_input=False has no leak then"
        )
    if not -math.inf < v_threshold < math.inf:
        raise ValueError(f"v_threshold must be finite, got {v_threshold}")
    if v_reset is not None and not -math.inf < v_reset < math.inf:
        raise ValueError(f"v_reset must be finite, or None for a soft reset, got {v_reset}")
    if surrogate not in get_args(Surrogate):
        raise ValueError(unknown_name("surrogate", surrogate, get_args(Surrogate)))
    alpha = DEFAULT_ALPHA[surrogate] if alpha is None else alpha
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha must be positive and finite, got {alpha}")
    return alpha


def _resolve(impl: str, x: Tensor, v0: Tensor | None) -> str:
    doubles = working_dtype(x, v0) == torch.float64
    if doubles and impl == "auto":
        return "reference"
    chosen = resolve_impl(impl, x, ("cpu", "triton", "nvrtc"), prefer_nvrtc=True)
    if doubles and chosen != "reference":
        raise TypeError(
            f"impl={impl!r} must get float16, bfloat16 or float32, got float64; "
            "impl='reference' or 'auto' takes it"
        )
    return chosen


def _is_plain(x: Tensor) -> bool:
    """Tell whether `x` is data in memory that nobody traces."""
    return (
        type(x) is Tensor
        and not torch.compiler.is_compiling()
        and _get_current_dispatch_mode() is None
    )


def lif_reference(
    x: Tensor,
    v0: Tensor | None,
    tau: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Surrogate,
    alpha: float,
    return_v: bool,
) -> Spikes:
    """Compute `lif` step by step in torch alone; autograd differentiates all but the step."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    rest = 0.0 if v_reset is None else v_reset
    v = x.new_full(x.shape[1:], rest, dtype=dtype) if v0 is None else v0.to(dtype)
    spikes, membranes = [], []
    for current in x.to(dtype):
        leak = (v - rest) / tau
        h = v + (current - (v - rest)) / tau if decay_input else (v - leak) + current
        spike = fire(h - v_threshold, surrogate, alpha)
        reset = spike.detach() if detach_reset else spike
        v = h - reset * v_threshold if v_reset is None else reset * v_reset + (1.0 - reset) * h
        spikes.append(spike)
        membranes.append(v)
    none = x.to(dtype)  # no steps
    fired = torch.stack(spikes) if spikes else none
    v_seq = torch.stack(membranes) if membranes else none
    return Spikes(fired.to(x.dtype), v, v_seq if return_v else None)


def _lif_fwd(
    x: Tensor,
    v0: Tensor | None,
    tau: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: str,
    alpha: float,
    return_v: bool,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Launch the forward pass over x (T, M); the last result is empty unless `return_v`."""
    spikes, v_end, v_seq = _launchers(impl).lif_fwd(
        x.contiguous(), v0, tau, v_threshold, v_reset, decay_input, return_v
    )
    return spikes, v_end, v_seq


def _lif_bwd(
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
    impl: str,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of x (T, M) and of the membrane (M,) before the first step."""
    grads = (None if g is None else g.contiguous() for g in (grad_spikes, grad_v_end, grad_v_seq))
    dx, dv0 = _launchers(impl).lif_bwd(
        *grads, x.contiguous(), v0, tau, v_threshold, v_reset, decay_input, detach_reset,
        surrogate, alpha,
    )  # fmt: skip
    return dx, dv0


def _lif_fwd_fake(
    x: Tensor,
    v0: Tensor | None,
    tau: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: str,
    alpha: float,
    return_v: bool,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    shape = x.shape if return_v else (0,)
    v_end = x.new_empty(x.shape[1], dtype=torch.float32)
    return x.new_empty(x.shape), v_end, x.new_empty(shape, dtype=torch.float32)


def _lif_bwd_fake(
    grad_spikes: Tensor | None,
    grad_v_end: Tensor | None,
    grad_v_seq: Tensor | None,
    x: Tensor,
    *_: Any,
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(x.shape[1], dtype=torch.float32)


lif_fwd = register("lif_fwd", _lif_fwd, _lif_fwd_fake)
lif_bwd = register("lif_bwd", _lif_bwd, _lif_bwd_fake)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    x, v0, *constants, return_v, impl = inputs
    ctx.save_for_backward(x, v0)
    ctx.options = (*constants, impl)
    ctx.return_v = return_v
    ctx.set_materialize_grads(False)


def _backward(
    ctx: Any, grad_spikes: Tensor | None, grad_v_end: Tensor | None, grad_v_seq: Tensor | None
) -> tuple[Tensor | None, ...]:
    x, v0 = ctx.saved_tensors
    grad_v_seq = grad_v_seq if ctx.return_v else None
    # Only the registered op refuses to be differentiated once more.
    run = lif_bwd if torch.is_grad_enabled() or not _is_plain(x) else _lif_bwd
    dx, dv0 = run(grad_spikes, grad_v_end, grad_v_seq, x, v0, *ctx.options)
    return dx, None if v0 is None else dv0, *[None] * 9


torch.library.register_autograd("pcmamba::lif_fwd", _backward, setup_context=_save, lib=LIBRARY)
torch.library.register_autograd("pcmamba::lif_bwd", refuse("lif"), lib=LIBRARY)


class _Lif(torch.autograd.Function):
    """The op without its registration, for tensors that nobody traces: a small part of the cost."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:
        output = _lif_fwd(*inputs)
        _save(ctx, inputs, output)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _backward(ctx, *grads)


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import lif_cpu

        return lif_cpu
    if impl == "nvrtc":
        from pcmamba.kernels import lif_nvrtc

        return lif_nvrtc
    from pcmamba.kernels import lif_triton

    return lif_triton
