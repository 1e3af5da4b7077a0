"""Counter-based random numbers: pure functions of (seed, epoch, index, stream).

A draw has no history. It depends on what it is for and on nothing that ran before, so an
augmentation is the same in any batch, on any device and after any resume. All arithmetic is
64-bit integer arithmetic that wraps around, so integers and uniforms have the same bits on CPU
and GPU; `normal` is computed in float64 and rounded.

Equation: with the mixer m of splitmix64, g its increment and h = m(m(m(seed) + epoch g) ^ stream),
number c of dataset index i is m(m(h + (i + 1) g) + (c + 1) g).

Source: Steele, Lea, Flood, Fast splittable pseudorandom number generators (2014), section 5;
Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011) for the idea.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


def bits(seed: int, epoch: int, index: Tensor, stream: str, shape: Sequence[int] = ()) -> Tensor:
    """Draw 64 random bits for every index and every element of `shape`.

    Args:
        seed: Any integer; taken modulo 2^64.
        epoch: Any integer; taken modulo 2^64.
        index: Integer tensor of any shape, for example the dataset indices (B,) of a batch.
        stream: What the draw is for; different names give unrelated numbers.
        shape: Numbers per index.

    Returns:
        int64 (*index.shape, *shape) on the device of `index`.

    Raises:
        TypeError: `index` is not an integer tensor.
    """
    per_index = _per_index(seed, epoch, index, stream)
    counter = torch.arange(1, math.prod(shape) + 1, device=index.device).reshape(tuple(shape))
    per_index = per_index.reshape((*index.shape, *[1] * len(shape)))
    return _mix(per_index + counter * _signed(_GOLDEN))


def bits_at(
    seed: int, epoch: int, index: Tensor, stream: str, row: Tensor, number: Tensor
) -> Tensor:
    """Draw numbers of ragged rows: element e is `bits(...)[row[e], number[e]]`.

    Args:
        seed: As in `bits`.
        epoch: As in `bits`.
        index: (B,) integers, for example the dataset indices of a batch.
        stream: As in `bits`.
        row: (E,) int64, 0 to B - 1.
        number: (E,) int64, at least 0, which of the row's numbers.

    Returns:
        int64 (E,) on the device of `index`.
    """
    per_index = _per_index(seed, epoch, index, stream)
    return _mix(per_index[row] + (number + 1) * _signed(_GOLDEN))


def _per_index(seed: int, epoch: int, index: Tensor, stream: str) -> Tensor:
    if index.dtype.is_floating_point or index.dtype == torch.bool:
        raise TypeError(f"index must be an integer tensor, got {index.dtype}")
    key = _mix_int(_mix_int(_mix_int(seed) + epoch * _GOLDEN) ^ _stream_id(stream))
    return _mix((index.long() + 1) * _signed(_GOLDEN) + _signed(key))


def uniform(seed: int, epoch: int, index: Tensor, stream: str, shape: Sequence[int] = ()) -> Tensor:
    """Draw uniform numbers, multiples of 2^-24 in [0, 1); arguments as in `bits`.

    Returns:
        float32 (*index.shape, *shape).
    """
    return to_uniform(bits(seed, epoch, index, stream, shape))


def normal(seed: int, epoch: int, index: Tensor, stream: str, shape: Sequence[int] = ()) -> Tensor:
    """Draw standard normal numbers by Box and Muller; arguments as in `bits`.

    At most 6.7 in size. CPU and GPU may differ in the last place.

    Returns:
        float32 (*index.shape, *shape).
    """
    return to_normal(bits(seed, epoch, index, stream, shape))


def to_uniform(drawn: Tensor) -> Tensor:
    """Make float32 of `uniform` from 64 random bits each."""
    return _shift_right(drawn, 40).float() * 2.0**-24


def to_normal(drawn: Tensor) -> Tensor:
    """Make float32 of `normal` from 64 random bits each."""
    radius = (_shift_right(drawn, 32).double() + 0.5) * 2.0**-32
    angle = (drawn & 0xFFFFFFFF).double() * (2.0 * math.pi * 2.0**-32)
    return (torch.sqrt(-2.0 * torch.log(radius)) * torch.cos(angle)).float()


def permutation(seed: int, epoch: int, index: Tensor, stream: str, size: int) -> Tensor:
    """Draw one permutation of 0 … size - 1 for every index.

    Returns:
        int64 (*index.shape, size).
    """
    keys = bits(seed, epoch, index, stream, (size,))
    return torch.argsort(keys, dim=-1, stable=True)


def _stream_id(stream: str) -> int:
    return int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "little")


def _mix_int(value: int) -> int:
    value &= _MASK
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)


def _mix(value: Tensor) -> Tensor:
    value = (value ^ _shift_right(value, 30)) * _signed(_FIRST)
    value = (value ^ _shift_right(value, 27)) * _signed(_SECOND)
    return value ^ _shift_right(value, 31)


def _shift_right(value: Tensor, places: int) -> Tensor:
    # `>>` keeps the sign of int64; the mask makes the shift a logical one.
    return torch.bitwise_and(value >> places, 2 ** (64 - places) - 1)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
