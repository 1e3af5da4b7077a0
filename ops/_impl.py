"""Which implementation of an op runs: named ones never fall back, "auto" follows the device."""

from __future__ import annotations

import functools
import importlib.util
import os
from typing import Literal

import torch
from torch import Tensor

from pcmamba.registry import unknown_name

Impl = Literal["auto", "reference", "cpu", "triton", "nvrtc", "torch_scatter"]

_REDUCED = (torch.float16, torch.bfloat16, torch.float32)


def interpreting() -> bool:
    """Tell whether Triton interprets its kernels on CPU tensors (`TRITON_INTERPRET=1`)."""
    return os.environ.get("TRITON_INTERPRET", "0") not in ("", "0")


@functools.cache  # looking for it takes longer than many kernels
def has_triton() -> bool:
    """Tell whether Triton is installed, without importing it."""
    return importlib.util.find_spec("triton") is not None


@torch.compiler.assume_constant_result
def has_nvrtc() -> bool:
    """Tell whether CUDA kernels can be compiled at run time here."""
    from pcmamba.kernels import _nvrtc

    return _nvrtc.has_nvrtc()


def resolve_impl(
    impl: str,
    tensor: Tensor,
    available: tuple[str, ...],
    *,
    differentiable: bool = True,
    prefer_nvrtc: bool = False,
) -> str:
    """Choose the implementation for `tensor`, or say why the named one cannot run.

    "auto" takes "cpu" for CPU tensors and "triton" for CUDA tensors where the op has them, and
    "reference" for float64, for which only the reference keeps its precision.

    Args:
        impl: The caller's choice.
        tensor: The op's leading input; its device and dtype decide.
        available: What the op has besides "reference".
        differentiable: False for ops with index results, whose kernels also take float64.
        prefer_nvrtc: Whether "auto" takes "nvrtc" on a GPU where it is installed: the op's rule
            for the shapes at which that was measured to be faster.

    Raises:
        ValueError: `impl` is unknown to this op, or the tensor is on the wrong device for it.
        ImportError: Triton or NVRTC is needed and missing.
    """
    if impl == "auto":
        chosen = _automatic(tensor, available, differentiable)
        return "nvrtc" if chosen == "triton" and prefer_nvrtc and has_nvrtc() else chosen
    if impl not in ("reference", *available):
        raise ValueError(unknown_name("impl", impl, ("auto", "reference", *available)))
    if impl == "cpu" and tensor.device.type != "cpu":
        raise ValueError(f"impl='cpu' must get CPU tensors, got {tensor.device}")
    if impl == "triton":
        _require_triton(tensor)
    if impl == "nvrtc":
        _require_nvrtc(tensor)
    return impl


def _automatic(tensor: Tensor, available: tuple[str, ...], differentiable: bool) -> str:
    if differentiable and tensor.dtype not in _REDUCED:
        return "reference"
    if tensor.device.type == "cuda" and "triton" in available:
        _require_triton(tensor)
        return "triton"
    if tensor.device.type == "cpu" and "cpu" in available:
        return "cpu"
    return "reference"


def _require_triton(tensor: Tensor) -> None:
    # Looking for a package cannot be traced; a missing one shows when the kernel is launched.
    if not torch.compiler.is_compiling() and not has_triton():
        raise ImportError(
            "Triton must be installed for GPU tensors: pip install 'pcmamba[gpu]', "
            "or ask for impl='reference'"
        )
    if tensor.device.type != "cuda" and not interpreting():
        raise ValueError(
            f"impl='triton' must get CUDA tensors, got {tensor.device} "
            "(TRITON_INTERPRET=1 runs it on CPU tensors, for tests)"
        )


def _require_nvrtc(tensor: Tensor) -> None:
    if tensor.device.type != "cuda":
        raise ValueError(f"impl='nvrtc' must get CUDA tensors, got {tensor.device}")
    if not has_nvrtc():
        raise ImportError(
            "NVRTC must be installed for impl='nvrtc': a CUDA build of torch brings it; "
            "or ask for impl='triton'"
        )
