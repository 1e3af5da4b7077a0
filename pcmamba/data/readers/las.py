"""LAS and LAZ: clouds of laser scanners, read by laspy."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pcmamba.data.readers.base import READERS, RawCloud, beside_origin, refuse_columns
from pcmamba.data.readers.columns import COLORS, XYZ

_HEADER = 227  # bytes of the shortest
_RECORD = 54  # bytes of the shortest record between header and points
_CHUNK = 1 << 18  # points; what is announced beyond the file's end is never taken
_LARGEST_GROWTH = 400  # of compressed points
_LASZIP, _VARIABLE = 22204, 2**32 - 1  # the record of the compression; chunks of any size
_LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}  # of an item: point, colours, colours and infrared, wave
_LARGEST_CHUNK = 50_000
_PLAIN = ("X", "Y", "Z", "intensity", "classification", *COLORS)
_KEPT = ("return_number", "number_of_returns", "gps_time", "point_source_id")


@READERS.register(".las", ".laz")
def parse_las(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read coordinates, intensity, colours, classification and the dimensions of the file's own.

    Scale and offset are applied in float64; far from zero an origin is kept apart. Return numbers,
    GPS time and point source stay as attributes where they vary. Colours of 8 bits in 16-bit
    fields are told by their largest value. Classification becomes the label unless the file has a
    dimension `label`.

    Raises:
        ValueError: No LAS file, or fewer points than announced.
        ImportError: laspy is missing.
    """
    refuse_columns(columns, "las")
    if data[:4] != b"LASF" or len(data) < _HEADER:
        raise ValueError(f"expected a LAS header of at least {_HEADER} bytes, got {data[:4]!r}")
    _check_records(data)
    try:
        import laspy
    except ImportError as error:
        raise ImportError("las and laz files need laspy: pip install 'pcmamba[io]'") from error
    try:
        with laspy.open(io.BytesIO(data), closefd=True, read_evlrs=False) as reader:
            header = reader.header
            _check_size(header, data)
            parts = [_columns(points, header) for points in _chunks(reader)]
    except (MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # many kinds, and panics of the decompressor are no Exception
        raise ValueError(
            f"expected a whole LAS file, got {type(error).__name__}: {error}"
        ) from None
    got = sum(len(part["X"]) for part in parts)
    if got != header.point_count or not parts:
        raise ValueError(f"expected {header.point_count} points, got {got}")
    merged = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _assemble(merged, header)


def _check_records(data: bytes) -> None:
    """Refuse records that do not fit before the points: laspy would read them one by one."""
    size, points, records = struct.unpack_from("<HII", data, 94)
    if not _HEADER <= size <= points <= len(data) or records * _RECORD > points - size:
        raise ValueError(
            f"expected {records} records between byte {size} and the points at byte {points} of "
            f"{len(data)}, which do not fit"
        )


def _check_size(header: Any, data: bytes) -> None:
    """Refuse a number of points that the file cannot hold, before anything is taken for them."""
    size = len(data)
    growth = _LARGEST_GROWTH if header.are_points_compressed else 1
    row = header.point_format.size
    if header.point_count == 0:
        raise ValueError("expected at least one point, got 0")
    if header.are_points_compressed:
        _check_chunks(header, data)
    if header.point_count * row > (size - header.offset_to_point_data) * growth:
        raise ValueError(f"{header.point_count} points of {row} bytes do not fit in {size} bytes")


def _check_chunks(header: Any, data: bytes) -> None:
    """Refuse a table of compressed chunks that the decompressor would take memory for in vain."""
    start = header.offset_to_point_data
    most = max(header.point_count, _LARGEST_CHUNK)
    layers = 0
    for record in header.vlrs:
        body = record.record_data_bytes()
        if record.record_id == _LASZIP:
            layers = _count_layers(body)
        if record.record_id == _LASZIP and len(body) >= 16:
            chunk = struct.unpack_from("<I", body, 12)[0]
            if not 0 < chunk <= most and chunk != _VARIABLE:
                raise ValueError(f"expected chunks of 1 to {most} points, got {chunk}")
    if start + 8 > len(data):
        raise ValueError("expected compressed points, got the end of the file")
    place = struct.unpack_from("<q", data, start)[0]
    if place <= start:  # files written in one go name the place at their end
        place = struct.unpack_from("<q", data, len(data) - 8)[0]
    if not start < place <= len(data) - 8:
        raise ValueError(f"expected a table of chunks in the file, got byte {place}")
    count = struct.unpack_from("<I", data, place + 4)[0]
    if count > min(header.point_count, len(data)):
        raise ValueError(f"expected at most {header.point_count} chunks, got {count}")
    # The first chunk: a plain point, the number of points, and the bytes of each layer.
    at = start + 8 + header.point_format.size + 4
    if layers and at + 4 * layers <= len(data):
        sizes = struct.unpack_from(f"<{layers}I", data, at)
        if sum(sizes) > len(data):
            raise ValueError(f"expected layers of a chunk in the file, got {sum(sizes)} bytes")


def _count_layers(body: bytes) -> int:
    """Return how many layers a chunk of the newer point formats has, 0 for the older ones."""
    if len(body) < 34:
        raise ValueError(f"expected a record of the compression, got {len(body)} bytes")
    count = struct.unpack_from("<H", body, 32)[0]
    if len(body) < 34 + 6 * count:
        raise ValueError(f"expected {count} items in the record of the compression, got fewer")
    items = [struct.unpack_from("<HHH", body, 34 + 6 * i) for i in range(count)]
    return sum(size if kind == 14 else _LAYERS.get(kind, 0) for kind, size, _ in items)


def _chunks(reader: Any) -> Iterator[Any]:
    while (points := reader.read_points(_CHUNK)) is not None and len(points):
        yield points


def _columns(points: Any, header: Any) -> dict[str, np.ndarray]:
    names = set(header.point_format.dimension_names)
    extra = tuple(header.point_format.extra_dimension_names)
    wanted = [name for name in (*_PLAIN, *_KEPT, *extra) if name in names]
    return {name: np.array(points[name]) for name in wanted}


def _assemble(merged: dict[str, np.ndarray], header: Any) -> RawCloud:
    with np.errstate(all="ignore"):  # coordinates are checked to be finite afterwards
        xyz = np.stack([merged.pop(axis) for axis in "XYZ"], axis=1) * header.scales
        xyz, origin = beside_origin(xyz + header.offsets)
    cloud = RawCloud(dict(zip(XYZ, xyz.T, strict=True)), origin=origin)
    label = next((name for name in merged if name.lower() == "label"), None)
    if label is not None:
        cloud.columns["label"] = merged.pop(label)
        merged.pop("classification", None)
    elif "classification" in merged and merged["classification"].any():
        cloud.columns["label"] = merged["classification"]
    merged.pop("classification", None)
    _take_colors(cloud, merged)
    for name, values in merged.items():
        constant = values.ndim == 1 and bool((values == values[0]).all())
        if name in (*_KEPT, "intensity") and constant:
            continue
        cloud.columns |= _one_column_each(name, values)
    return cloud


def _take_colors(cloud: RawCloud, merged: dict[str, np.ndarray]) -> None:
    if not all(name in merged for name in COLORS):
        return
    colors = {name: merged.pop(name) for name in COLORS}
    largest = max(int(values.max()) for values in colors.values())
    if largest == 0:
        cloud.notes.append("left out the colours: all are 0")
        return
    if largest <= 255:
        cloud.notes.append("colours read as 8 bits")
        colors = {name: values.astype(np.uint8) for name, values in colors.items()}
    cloud.columns |= colors


def _one_column_each(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    clean = "_".join(name.split())
    if values.ndim == 1:
        return {clean: values}
    return {f"{clean}_{i}": values[:, i] for i in range(values.shape[1])}
