"""Choice of an implementation: named ones never fall back."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from pcmamba.ops import _impl
from pcmamba.ops._impl import resolve_impl

CPU = torch.zeros(1)


def test_auto_follows_device_and_dtype() -> None:
    assert resolve_impl("auto", CPU, ("cpu", "triton")) == "cpu"
    assert resolve_impl("auto", CPU, ("triton",)) == "reference"
    assert resolve_impl("auto", CPU.double(), ("cpu", "triton")) == "reference"
    assert resolve_impl("auto", CPU.double(), ("cpu",), differentiable=False) == "cpu"


def test_a_named_choice_is_taken_or_refused() -> None:
    assert resolve_impl("reference", CPU, ("cpu",)) == "reference"
    with pytest.raises(ValueError, match="impl must be one of auto, cpu, reference, got 'cuda'"):
        resolve_impl("cuda", CPU, ("cpu",))
    with pytest.raises(ValueError, match="impl='cpu' must get CPU tensors, got meta"):
        resolve_impl("cpu", CPU.to("meta"), ("cpu",))


def test_triton_on_the_cpu_needs_the_interpreter(monkeypatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(ValueError, match="impl='triton' must get CUDA tensors, got cpu"):
        resolve_impl("triton", CPU, ("triton",))


def test_missing_triton_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(_impl, "has_triton", _impl.has_triton.__wrapped__)
    assert not _impl.has_triton()
    with pytest.raises(ImportError, match=r"pip install 'pcmamba\[gpu\]'"):
        resolve_impl("triton", CPU, ("triton",))
