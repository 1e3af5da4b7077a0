"""List the data sets and check one on disk."""

from __future__ import annotations

import dataclasses
from typing import Any

from pcmamba.data.datasets import DATASETS
from pcmamba.registry import unknown_name


def list_datasets() -> list[str]:
    """Return the names of the data sets, sorted."""
    return list(DATASETS)


def check_dataset(name: str, root: str | None, **options: Any) -> list[str]:
    """Load a data set whole, check it, and describe it line by line.

    Args:
        name: One of `list_datasets()`.
        root: Its folder; None for sets without files.
        options: Further options of the data set.

    Raises:
        ValueError: The name or an option is unknown, or the data are not what they should be.
        FileNotFoundError: A folder or a file is missing.
    """
    lines: list[str] = make_set(name, root, **options).check()
    return lines


def make_set(name: str, root: str | None, **options: Any) -> Any:
    """Build a data set by its name.

    Raises:
        ValueError: The name or an option is unknown, or its value is out of range.
    """
    kind = DATASETS[name]
    known = {entry.name for entry in dataclasses.fields(kind)} - {"root"}
    for option in options:
        if option not in known:
            raise ValueError(unknown_name(f"option of data set {name}", option, known))
    return kind(root=root, **options)
