"""Three numbers of up to 21 bits woven into one of 63, and back."""

from __future__ import annotations

from torch import Tensor

_STEPS = (
    (32, 0x1F00000000FFFF),
    (16, 0x1F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)


def interleave(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Put bit i of x, y, z at bits 3i + 2, 3i + 1, 3i."""
    return _spread(x) << 2 | _spread(y) << 1 | _spread(z)


def deinterleave(code: Tensor) -> list[Tensor]:
    """Undo `interleave`: return x, y, z."""
    return [_gather(code >> shift) for shift in (2, 1, 0)]


def _spread(value: Tensor) -> Tensor:
    """Move bit i to bit 3i, halves first."""
    for shift, mask in _STEPS:
        value = (value | value << shift) & mask
    return value


def _gather(value: Tensor) -> Tensor:
    """Move bit 3i to bit i and drop the others."""
    value = value & _STEPS[-1][1]
    masks = [mask for _, mask in _STEPS[-2::-1]] + [(1 << 21) - 1]
    for (shift, _), mask in zip(reversed(_STEPS), masks, strict=True):
        value = (value | value >> shift) & mask
    return value
