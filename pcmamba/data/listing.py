"""Lists of files: text lists as they circulate, and folders in an order that does not vary."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a key that sorts digits as numbers: `train2` before `train10`."""
    parts = re.split(r"(\d+)", name)
    # The name itself last: `a01` and `a1` must not tie.
    return (*((0, int(p)) if p.isdecimal() else (1, p) for p in parts if p), (2, name))


def sorted_naturally(paths: Iterable[Path]) -> list[Path]:
    """Sort paths by their names, digits as numbers."""
    return sorted(paths, key=lambda path: natural_key(path.name))


def visible(folder: Path) -> list[Path]:
    """Return the entries of a folder that are not hidden, sorted naturally."""
    return sorted_naturally(p for p in folder.iterdir() if not p.name.startswith("."))


def read_text_list(path: Path) -> list[str]:
    """Read the lines of a UTF-8 text list, stripped, empty ones skipped; any line ends.

    Raises:
        ValueError: The file is no UTF-8 text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text, got {error.reason}") from None
    return [line.strip() for line in lines if line.strip()]


def last_part(name: str) -> str:
    """Return the file name of a path, written with slashes or backslashes."""
    return PurePosixPath(name.replace("\\", "/")).name
