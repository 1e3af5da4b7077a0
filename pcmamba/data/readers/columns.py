"""Names of columns: synonyms in the wild, and guesses where a file gives none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

_SYNONYMS = {
    "x": (),
    "y": (),
    "z": (),
    "nx": ("normal_x", "normalx", "n_x"),
    "ny": ("normal_y", "normaly", "n_y"),
    "nz": ("normal_z", "normalz", "n_z"),
    "red": ("r", "diffuse_red"),
    "green": ("g", "diffuse_green"),
    "blue": ("b", "diffuse_blue"),
    "intensity": ("i", "scalar_intensity", "reflectance", "reflectivity"),
    "label": ("labels", "class", "classification", "scalar_label", "scalar_classification"),
}
_CANONICAL = {other: name for name, others in _SYNONYMS.items() for other in (name, *others)}

XYZ = ("x", "y", "z")
NORMALS = ("nx", "ny", "nz")
COLORS = ("red", "green", "blue")


def canonical(name: str) -> str:
    """Return our name of a column, or its own where we have none."""
    return _CANONICAL.get(name.strip().lower(), name.strip())


def is_known(name: str) -> bool:
    """Tell whether a name means something to us."""
    return name.strip().lower() in _CANONICAL


def name_columns(table: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Split a table (N, C) into its named columns.

    Raises:
        ValueError: The number of names is not C, or a name occurs twice.
    """
    if len(names) != table.shape[1]:
        raise ValueError(
            f"columns must name the {table.shape[1]} columns, got {len(names)}: {', '.join(names)}"
        )
    unique_columns(names)
    return dict(zip(names, table.T, strict=True))


def unique_columns(names: Iterable[str]) -> None:
    """Raise ValueError if two names mean the same column."""
    seen: set[str] = set()
    for name in map(canonical, names):
        if name in seen:
            raise ValueError(f"columns must differ, got {name!r} twice")
        seen.add(name)


def guess_columns(
    table: np.ndarray, *, intensity_first: bool, extra: bool
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Name the columns of a table (N, C) by their number and values, and say what was guessed.

    3 columns are x y z; 4 add intensity; 6 add red green blue if all are whole numbers in 0..255,
    or else nx ny nz. Of 7, the last four are the first that fits of: intensity, red, green, blue
    (only with `intensity_first`); red, green, blue, label; intensity, red, green, blue; nx, ny, nz,
    label. Colours become uint8.

    Args:
        table: (N, C) numbers.
        intensity_first: Prefer intensity before colours to a label behind them, as in pts files.
        extra: Keep the columns after z of any other C as `column_3` … instead of refusing them.

    Raises:
        ValueError: C has no meaning; `columns` names them.
    """
    width = table.shape[1]
    names = _guess_names(table, intensity_first)
    if names is None and extra and width > 3:
        names = (*XYZ, *(f"column_{i}" for i in range(3, width)))
    if names is None:
        raise ValueError(
            f"a point must have 3, 4, 6 or 7 columns, got {width}; "
            "give columns=('x', 'y', 'z', …) to name them"
        )
    columns = name_columns(table, names)
    for name in COLORS:
        if name in columns:
            columns[name] = columns[name].astype(np.uint8)
    notes = [f"columns read as {' '.join(names)}"] if width > 3 else []
    return columns, notes


def _guess_names(table: np.ndarray, intensity_first: bool) -> tuple[str, ...] | None:
    match table.shape[1]:
        case 3:
            return XYZ
        case 4:
            return (*XYZ, "intensity")
        case 6:
            return (*XYZ, *(COLORS if _are_bytes(table[:, 3:]) else NORMALS))
        case 7:
            return _guess_seven(table, intensity_first)
        case _:
            return None


def _guess_seven(table: np.ndarray, intensity_first: bool) -> tuple[str, ...] | None:
    colors_last, colors_first = _are_bytes(table[:, 4:]), _are_bytes(table[:, 3:6])
    last_is_whole = _are_whole(table[:, 6])
    if colors_last and intensity_first:
        return (*XYZ, "intensity", *COLORS)
    if colors_first and last_is_whole:
        return (*XYZ, *COLORS, "label")
    if colors_last:
        return (*XYZ, "intensity", *COLORS)
    return (*XYZ, *NORMALS, "label") if last_is_whole else None


def _are_whole(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and (values == np.rint(values)).all())


def _are_bytes(values: np.ndarray) -> bool:
    return _are_whole(values) and bool((values >= 0).all() and (values <= 255).all())
