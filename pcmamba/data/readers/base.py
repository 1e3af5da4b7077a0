"""What every reader gives, and the one error that reading raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pcmamba.registry import Registry


class ReadError(ValueError):
    """A file cannot be read as points: it says which file, what was expected and what came."""


@dataclass
class RawCloud:
    """Content of a file before it is checked.

    Attributes:
        columns: One array (N,) per value of a point, by its name in the file.
        faces: (F, 3) int64 triangles, or None.
        notes: What the parser guessed or left out.
    """

    columns: dict[str, np.ndarray]
    faces: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)


# A parser takes the bytes of a file and the names that the caller gives its columns (None: the
# file or a guess names them). It raises ValueError without the file's name, which is added later.
Parser = Callable[[bytes, Sequence[str] | None], RawCloud]

READERS: Registry[Parser] = Registry("file extension")


def refuse_columns(columns: Sequence[str] | None, form: str) -> None:
    """Raise ValueError if columns are named for a format that names them itself."""
    if columns is not None:
        raise ValueError(f"columns must be None for {form}, which names them itself")
