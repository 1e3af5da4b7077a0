"""E57: scans of a station, read by pye57 where it is installed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcmamba.data.readers.base import READERS, RawCloud, beside_origin, refuse_columns
from pcmamba.data.readers.columns import COLORS, XYZ

_MAGIC = b"ASTM-E57"
_LARGEST_GROWTH = 200  # bytes of a point in memory for each in the file


@READERS.register(".e57")
def parse_e57(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read all scans of a file into one cloud, each brought to the file's frame by its pose.

    Raises:
        ValueError: No E57 file, no scans, or more points than the file can hold.
        ImportError: pye57 is missing.
    """
    refuse_columns(columns, "e57")
    if not data.startswith(_MAGIC):
        raise ValueError(f"expected {_MAGIC.decode()} first, got {data[:8]!r}")
    try:
        import pye57
    except ImportError as error:
        raise ImportError("e57 files need pye57: pip install pye57") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.e57"  # pye57 reads files alone
        path.write_bytes(data)
        try:
            file = pye57.E57(str(path))
            parts = [_read_scan(file, i, len(data)) for i in range(file.scan_count)]
            file.close()
        except (RuntimeError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"expected a whole E57 file, got {error}") from None
    if not parts:
        raise ValueError("expected at least one scan, got none")
    shared = set.intersection(*(set(part) for part in parts))
    merged = {n: np.concatenate([part[n] for part in parts]) for n in parts[0] if n in shared}
    return _assemble(merged)


def _read_scan(file: object, index: int, size: int) -> dict[str, np.ndarray]:
    points = file.get_header(index).point_count  # type: ignore[attr-defined]
    if points > size * _LARGEST_GROWTH:
        raise ValueError(f"scan {index} announces {points} points in a file of {size} bytes")
    found: dict[str, np.ndarray] = file.read_scan(  # type: ignore[attr-defined]
        index, intensity=True, colors=True, ignore_missing_fields=True
    )
    return found


def _assemble(merged: dict[str, np.ndarray]) -> RawCloud:
    if not all(f"cartesian{axis}" in merged for axis in "XYZ"):
        raise ValueError(f"expected cartesianX, Y and Z, got {', '.join(merged)}")
    xyz = np.stack([merged[f"cartesian{axis}"].astype(np.float64) for axis in "XYZ"], axis=1)
    xyz, origin = beside_origin(xyz)
    cloud = RawCloud(dict(zip(XYZ, xyz.T, strict=True)), origin=origin)
    cloud.columns |= {
        c: merged[f"color{c.title()}"] for c in COLORS if f"color{c.title()}" in merged
    }
    if "intensity" in merged:
        cloud.columns["intensity"] = merged["intensity"]
    return cloud
