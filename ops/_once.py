"""Backward passes that are not differentiated themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from torch._library.custom_ops import CustomOpDef


def refuse(name: str) -> Callable[..., NoReturn]:
    """Return a backward function of op `name`'s backward pass that says it has none."""

    def raise_error(ctx: Any, *grads: Any) -> NoReturn:
        raise NotImplementedError(
            f"{name} must be differentiated once, got a second backward pass; "
            "impl='reference' allows it"
        )

    return raise_error


def refuse_double_backward(backward: CustomOpDef, name: str) -> None:
    """Make differentiating the registered `backward` of op `name` an error that says so."""
    backward.register_autograd(refuse(name))
