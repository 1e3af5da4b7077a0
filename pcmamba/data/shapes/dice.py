"""Random choices and sines that have the same bits on every machine.

Only PCG64's uniform doubles and the basic operations of IEEE arithmetic are used. NumPy's sine,
its normal variates and its matrix product may round differently from processor to processor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

T = TypeVar("T")
Array = NDArray[np.float64]


class Dice:
    """Random choices from one key.

    Args:
        key: Integers >= 0, for example (seed, split, index); equal keys give equal choices.
    """

    def __init__(self, *key: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(list(key)))

    def uniform(self, low: float, high: float) -> float:
        """Draw a number in [low, high)."""
        return low + (high - low) * float(self._generator.random())

    def chance(self, probability: float) -> bool:
        """Be true with `probability`."""
        return float(self._generator.random()) < probability

    def choice(self, options: Sequence[T]) -> T:
        """Draw one of `options`, all alike."""
        return options[int(self._generator.random() * len(options))]

    def between(self, low: int, high: int) -> int:
        """Draw an integer from low … high, both included."""
        return low + int(self._generator.random() * (high - low + 1))

    def uniforms(self, *shape: int) -> Array:
        """Draw an array of numbers in [0, 1)."""
        return self._generator.random(shape)

    def bells(self, *shape: int) -> Array:
        """Draw an array of mean 0 and variance 1, nearly normal: the sum of four uniforms."""
        total: Array = self._generator.random((4, *shape)).sum(axis=0)
        return (total - 2.0) * math.sqrt(3.0)

    def direction(self) -> Array:
        """Draw a unit vector (3,), all directions alike."""
        while True:
            vector = 2.0 * self.uniforms(3) - 1.0
            length2 = float((vector * vector).sum())
            if 0.01 < length2 < 1.0:
                return vector / math.sqrt(length2)


def cos_sin(turns: ArrayLike) -> tuple[Array, Array]:
    """Return cosine and sine of angles given in full turns, to 1e-15."""
    whole = np.asarray(turns, dtype=np.float64)
    quarter = np.floor(4.0 * whole + 0.5)
    angle = (whole - 0.25 * quarter) * (2.0 * math.pi)
    square = angle * angle
    sin = angle * _series(square, range(17, 1, -2))
    cos = _series(square, range(16, 0, -2))
    place = quarter.astype(np.int64) % 4
    return (
        np.choose(place, [cos, -sin, -cos, sin]),
        np.choose(place, [sin, cos, -sin, -cos]),
    )


def _series(square: Array, last_factors: range) -> Array:
    # Horner's rule for 1 - x^2 / ((n - 1) n) (1 - …), n falling: sin(x) / x or cos(x).
    total = np.ones_like(square)
    for n in last_factors:
        total = 1.0 - square / float(n * (n - 1)) * total
    return total
