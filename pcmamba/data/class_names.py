"""The names of the labels that a file of points brings along."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import numpy as np

_MOST_HEADER = 1 << 20
_LINE = re.compile(rb"comment class (\d{1,6}) (.+)")


def read_class_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the names that `write_ply` or `write_npz` put into a file; empty where there are none.

    Labels between named ones are called by their number.
    """
    path = Path(path)
    if path.suffix.lower() == ".ply":
        return _of_ply(path)
    if path.suffix.lower() == ".npz" and zipfile.is_zipfile(path):
        with np.load(path, allow_pickle=False) as archive:
            if "class_names" in archive.files:
                return tuple(str(name) for name in archive["class_names"].ravel())
    return ()


def _of_ply(path: Path) -> tuple[str, ...]:
    with path.open("rb") as file:
        header = file.read(_MOST_HEADER).partition(b"end_header")[0]
    found = [_LINE.fullmatch(line.strip()) for line in header.splitlines()]
    names = {int(m[1]): m[2].decode(errors="replace").strip() for m in found if m is not None}
    return tuple(names.get(k, str(k)) for k in range(max(names, default=-1) + 1))
