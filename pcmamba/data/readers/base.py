"""What every reader gives, and the one error that reading raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pcmamba.registry import Registry


class ReadError(ValueError):
    """A file cannot be read: it says which file, what was expected and what came."""


@dataclass
class RawCloud:
    """Content of a file before it is checked.

    Attributes:
        columns: One array (N,) per value of a point, by its name in the file.
        faces: (F, 3) int64 triangles, or None.
        notes: What the parser guessed or left out.
        origin: What the parser subtracted from the coordinates.
    """

    columns: dict[str, np.ndarray]
    faces: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)


# A parser takes the bytes of a file and the names that the caller gives its columns (None: the
# file or a guess names them). It raises ValueError without the file's name, which is added later.
Parser = Callable[[bytes, Sequence[str] | None], RawCloud]

READERS: Registry[Parser] = Registry("file extension")


def refuse_columns(columns: Sequence[str] | None, form: str) -> None:
    """Raise ValueError if columns are named for a format that names them itself."""
    if columns is not None:
        raise ValueError(f"columns must be None for {form}, which names them itself")


def beside_origin(xyz: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Subtract a whole-numbered origin from far coordinates (N, 3) float64, so that float32 holds.

    Coordinates whose distance from zero is at most 1024 times their extent stay as they are:
    float32 then keeps 1/16,000 of the extent or better.
    """
    finite = xyz[np.isfinite(xyz).all(axis=1)]
    if not len(finite) or np.abs(finite).max() <= 1024.0 * max(np.ptp(finite, axis=0).max(), 1e-9):
        return xyz, (0.0, 0.0, 0.0)
    x, y, z = np.floor(finite.min(axis=0)).tolist()
    return xyz - np.array([x, y, z]), (x, y, z)
