"""Stop at the first number that is not finite, and say where it came from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pcmamba.data.batch import ModelBatch

REMEDY = "lower --optim.lr, set --optim.clip_norm 1, or train with --trainer.precision 32"


class NonFiniteError(ArithmeticError):
    """A loss or gradient was NaN or infinite."""


class FiniteGuard:
    """Remember on the device the first step with a non-finite number; look at it when asked.

    Looking is what makes a GPU wait, so `observe` every step and `check` now and then.
    """

    def __init__(self, device: torch.device) -> None:
        self._first = torch.full((), -1, dtype=torch.int64, device=device)

    def observe(self, step: int, value: Tensor) -> None:
        """Note `step` if `value` is not finite and none was noted before."""
        bad = ~torch.isfinite(value.detach()).all() & (self._first < 0)
        self._first = torch.where(bad, step, self._first)

    def check(self, model: nn.Module, batch: ModelBatch | None, now: int) -> None:
        """Wait for the device and stop if a step was bad.

        Raises:
            NonFiniteError: Names the step and the first non-finite parameter, gradient or module.
        """
        first = int(self._first.item())
        if first < 0:
            return
        seen = "" if first == now else f" (noticed at step {now})"
        raise NonFiniteError(
            f"loss and gradients must be finite, got NaN or infinity at step {first}{seen}: "
            f"{diagnose(model, batch)}; {REMEDY}"
        )


def diagnose(model: nn.Module, batch: ModelBatch | None) -> str:
    """Say in words what is not finite: the input, a parameter, a module's output, a gradient."""
    if batch is not None and (name := bad_input(batch)) is not None:
        return f"the {name} of the batch are not finite"
    for name, parameter in model.named_parameters():
        if not _finite(parameter):
            return f"first non-finite parameter {name}"
    if batch is not None and (module := first_bad_module(model, batch)) is not None:
        return f"first non-finite output from module {module}"
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not _finite(parameter.grad):
            return f"first non-finite gradient at parameter {name}"
    return "no parameter, output or gradient is non-finite any more"


def bad_input(batch: ModelBatch) -> str | None:
    """Name the first input of the model that is not finite: points, features or frames."""
    inputs = {id(value) for value in batch.inputs if value is not None}
    named = ((name, value) for name, value in vars(batch).items() if id(value) in inputs)
    return next((name for name, value in named if not _finite(value)), None)


@torch.no_grad()
def first_bad_module(model: nn.Module, batch: ModelBatch) -> str | None:
    """Run the model once and name the first module whose output is not finite, innermost first."""
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if not found and isinstance(output, Tensor) and not _finite(output):
                found.append(name or type(module).__name__)

        return hook

    handles = [m.register_forward_hook(watch(name)) for name, m in model.named_modules()]
    try:
        model(*batch.inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())
