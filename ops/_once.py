"""Backward passes that are not differentiated themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from torch._library.custom_ops import CustomOpDef


def refuse_double_backward(backward: CustomOpDef, name: str) -> None:
    """Make differentiating the registered `backward` of op `name` an error that says so."""

    def refuse(ctx: Any, *grads: Any) -> NoReturn:
        raise NotImplementedError(
            f"{name} must be differentiated once, got a second backward pass; "
            "impl='reference' allows it"
        )

    backward.register_autograd(refuse)
