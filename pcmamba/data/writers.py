"""Write a cloud to ply, npz or las: whole or not at all."""

from __future__ import annotations

import io
import math
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pcmamba.data.structures import PointCloud

_PLY_WORDS = {
    "i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort",
    "i4": "int", "u4": "uint", "f4": "float", "f8": "double",
}  # fmt: skip


def write_ply(
    path: str | os.PathLike[str], cloud: PointCloud, *, class_names: Sequence[str] = ()
) -> None:
    """Write a binary little-endian PLY file, replacing an older one in one step.

    Coordinates, normals, colours, intensity, labels (int), faces and attributes with one number per
    point are kept. Class names become comments `class <number> <name>`.

    Raises:
        ValueError: Labels beyond 32 bits, a class name with a line end, or an attribute that PLY
            cannot hold.
    """
    columns = _ply_columns(cloud)
    rows = np.empty(len(cloud), np.dtype([(name, f"<{_code(c)}") for name, c in columns.items()]))
    for name, values in columns.items():
        rows[name] = values
    header = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment class {i} {_one_line(name)}" for i, name in enumerate(class_names)),
        f"element vertex {len(cloud)}",
        *(f"property {_PLY_WORDS[_code(c)]} {name}" for name, c in columns.items()),
    ]
    faces = None
    if cloud.faces is not None:
        header += [f"element face {len(cloud.faces)}", "property list uchar int vertex_indices"]
        faces = np.empty(len(cloud.faces), [("length", "u1"), ("corners", "<i4", (3,))])
        faces["length"], faces["corners"] = 3, cloud.faces

    def write(file: BinaryIO) -> None:
        file.write("".join(f"{line}\n" for line in [*header, "end_header"]).encode())
        file.write(rows.tobytes())
        if faces is not None:
            file.write(faces.tobytes())

    replace_file(Path(path), write)


def write_npz(
    path: str | os.PathLike[str], cloud: PointCloud, *, class_names: Sequence[str] = ()
) -> None:
    """Write a compressed npz archive, replacing an older one in one step.

    Keys: points, normals, colors, intensity, labels, faces (those that the cloud has), class_names
    (if given) and one per attribute.

    Raises:
        ValueError: An attribute is named like one of the keys.
    """
    own = {
        "points": cloud.xyz,
        "normals": cloud.normals,
        "colors": cloud.colors,
        "intensity": cloud.intensity,
        "labels": cloud.labels,
        "faces": cloud.faces,
        "class_names": np.array(class_names, dtype=str) if class_names else None,
    }
    clash = own.keys() & cloud.attributes.keys()
    if clash:
        raise ValueError(f"attributes must have other names than the keys, got {sorted(clash)}")
    arrays = {name: a for name, a in {**own, **cloud.attributes}.items() if a is not None}
    replace_file(Path(path), lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def write_las(path: str | os.PathLike[str], cloud: PointCloud) -> None:
    """Write a LAS 1.4 file, or LAZ if the name ends so, replacing an older one in one step.

    Coordinates are stored with the cloud's origin, in steps of a 2^31st of the extent rounded up to
    a power of ten. Intensity, labels, normals and attributes become dimensions of the file's own;
    labels in 0 … 255 are its classification too. Colours get 16 bits.

    Raises:
        ValueError: An attribute is no number per point or has a name of more than 32 bytes.
        ImportError: laspy is missing.
    """
    try:
        import laspy
    except ImportError as error:
        raise ImportError("las and laz files need laspy: pip install 'pcmamba[io]'") from error
    own = _las_columns(cloud)
    header = laspy.LasHeader(point_format=6 if cloud.colors is None else 7, version="1.4")
    header.offsets = np.floor(cloud.xyz.min(axis=0).astype(np.float64)) + cloud.origin
    extent = max(float(np.ptp(cloud.xyz, axis=0).max()), 1e-6) + 1.0
    header.scales = np.full(3, 10.0 ** math.ceil(math.log10(extent / 2**31)))
    header.add_extra_dims([laspy.ExtraBytesParams(n, v.dtype.str[1:]) for n, v in own.items()])
    las = laspy.LasData(header)
    las.x, las.y, las.z = (cloud.xyz.astype(np.float64) + cloud.origin).T
    for name, values in own.items():
        las[name] = values
    if cloud.labels is not None and 0 <= cloud.labels.min() <= cloud.labels.max() <= 255:
        las.classification = cloud.labels
    if cloud.colors is not None:
        las.red, las.green, las.blue = cloud.colors.T.astype(np.uint16) * 257
    buffer = io.BytesIO()
    las.write(buffer, do_compress=Path(path).suffix.lower() == ".laz")
    replace_file(Path(path), lambda file: file.write(buffer.getvalue()))


def _las_columns(cloud: PointCloud) -> dict[str, np.ndarray]:
    """Return what LAS has no exact place for, under names that the reader knows."""
    columns = _ply_columns(cloud)
    for name in ("x", "y", "z", "red", "green", "blue"):
        columns.pop(name, None)
    if "intensity" in columns:  # LAS holds whole numbers alone under that name
        columns = {("reflectance" if n == "intensity" else n): v for n, v in columns.items()}
    long = [name for name in columns if len(name.encode()) > 32]
    if long:
        raise ValueError(f"attributes must have names of at most 32 bytes, got {long[0]!r}")
    return columns


def _ply_columns(cloud: PointCloud) -> dict[str, np.ndarray]:
    columns = dict(zip("xyz", cloud.xyz.T, strict=True))
    if cloud.normals is not None:
        columns |= dict(zip(("nx", "ny", "nz"), cloud.normals.T, strict=True))
    if cloud.colors is not None:
        columns |= dict(zip(("red", "green", "blue"), cloud.colors.T, strict=True))
    if cloud.intensity is not None:
        columns["intensity"] = cloud.intensity
    if cloud.labels is not None:
        limits = np.iinfo(np.int32)
        if cloud.labels.min() < limits.min or cloud.labels.max() > limits.max:
            raise ValueError(f"labels must fit in 32 bits, got {np.abs(cloud.labels).max()}")
        columns["label"] = cloud.labels.astype(np.int32)
    for name, values in cloud.attributes.items():
        if name in columns or len(name.split()) != 1 or values.ndim != 1:
            raise ValueError(
                f"attributes must be one number per point, got {name!r}: {values.shape}"
            )
        if _code(values) not in _PLY_WORDS:
            raise ValueError(f"attributes must have a type of PLY, got {name!r}: {values.dtype}")
        columns[name] = values
    return columns


def _code(values: np.ndarray) -> str:
    return f"{values.dtype.kind}{values.dtype.itemsize}"


def _one_line(name: str) -> str:
    if len(name.splitlines()) != 1:
        raise ValueError(f"class_names must be one line each, got {name!r}")
    return name


def replace_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write beside `path` and rename, so that nobody ever sees half a file."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
