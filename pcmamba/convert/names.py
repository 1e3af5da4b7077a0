"""Exchange of parameter names and of the axes of size one that released layers carry."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor

_LEAVES = r"(\.(?:weight|bias|running_mean|running_var|num_batches_tracked))?"


def renamed(name: str, pairs: Sequence[tuple[str, str]], owner: str, *, back: bool = False) -> str:
    """Return the counterpart of a parameter's name.

    Args:
        name: Released name, or this library's if `back`.
        pairs: (released, ours), tried in turn; `*` stands for a number.
        owner: Name of the model, for the error.
        back: From ours to the released one.

    Raises:
        ValueError: The name has no counterpart.
    """
    for released, ours in pairs:
        source, target = (ours, released) if back else (released, ours)
        pattern = re.escape(source).replace(r"\*", r"(\d+)") + _LEAVES
        match = re.fullmatch(pattern, name)
        if match:
            *numbers, leaf = match.groups()
            for number in numbers:
                target = target.replace("*", number, 1)
            return target + (leaf or "")
    known = "this library's" if back else "a released"
    raise ValueError(f"{name} must be {known} {owner} classifier's parameter name")


def reshaped(tensor: Tensor, shape: tuple[int, ...] | None) -> Tensor:
    """Drop the axes of one that released convolutions and affine parameters carry."""
    if shape is None or tensor.shape == shape or tensor.dim() <= len(shape):
        return tensor
    squeezed = tuple(size for size in tensor.shape if size != 1)
    return tensor.reshape(shape) if squeezed == tuple(s for s in shape if s != 1) else tensor
