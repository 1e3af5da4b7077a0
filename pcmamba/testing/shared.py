"""Where optional reference outputs lie."""

from __future__ import annotations

from pathlib import Path


def shared_folder() -> Path | None:
    """Return the folder `shared` beside the repository, or None where there is none.

    It holds reference outputs and real data that are no part of the project; tests that use them
    skip without it.
    """
    folder = Path(__file__).resolve().parents[3] / "shared"
    return folder if folder.is_dir() else None
