"""Damaged files for readers: small valid ones of every format, and seeded ways to break them."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pcmamba.data import (
    Events,
    PointCloud,
    ReadError,
    read_points,
    write_las,
    write_npz,
    write_ply,
)

_WORDS = (b"-1", b"0", b"4294967295", b"9" * 18, b"9" * 40, b"nan", b"inf", b"1e308", b"\xff\xfe")
_BLOCKS = (
    b"\xff" * 4,
    b"\x7f" * 8,
    b"\x00" * 8,
    struct.pack("<Q", 2**62),
    struct.pack(">I", 2**31),
)


def sample_files(folder: Path) -> dict[str, list[Path]]:
    """Write small valid files of every format that we read into a folder, by extension."""
    rng = np.random.default_rng(0)
    xyz = rng.standard_normal((40, 3)).astype(np.float32)
    cloud = PointCloud(
        xyz,
        normals=xyz.copy(),
        colors=rng.integers(0, 256, (40, 3)).astype(np.uint8),
        labels=rng.integers(0, 5, 40),
        faces=rng.integers(0, 40, (20, 3)),
        attributes={"score": rng.random(40).astype(np.float32)},
    )
    files: dict[str, list[Path]] = {}

    def path(name: str) -> Path:
        files.setdefault(Path(name).suffix, []).append(folder / name)
        return folder / name

    write_ply(path("binary.ply"), cloud)
    write_npz(path("a.npz"), cloud)
    np.save(path("a.npy"), xyz)
    _write_texts(path, xyz, cloud.faces)
    _write_pcd(path, xyz)
    _write_stl(path("binary.stl"), xyz, cloud.faces)
    _write_h5(path("a.h5"), xyz)
    try:
        write_las(path("a.las"), cloud)
        write_las(path("a.laz"), cloud)
    except ImportError:  # an optional package
        files.pop(".las"), files.pop(".laz", None)
    return files


def mutate(data: bytes, seed: int) -> bytes:
    """Break a file in one to four ways that depend on the seed alone."""
    rng = np.random.default_rng(seed)
    broken = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        # Half of the damage goes to the beginning, where the headers are.
        end = max(len(broken), 1) if rng.random() < 0.5 else min(max(len(broken), 1), 256)
        at = int(rng.integers(0, end))
        length = int(rng.integers(1, 33))
        match int(rng.integers(0, 8)):
            case 0:
                broken[at : at + 1] = bytes([int(rng.integers(0, 256))])
            case 1:
                if at < len(broken):
                    broken[at] ^= 1 << int(rng.integers(0, 8))
            case 2:
                del broken[at : at + length]
            case 3:
                del broken[at:]
            case 4:
                broken[at:at] = broken[at : at + length] * int(rng.integers(1, 4))
            case 5:
                broken[at : at + 4] = _WORDS[rng.integers(0, len(_WORDS))]
            case 6:
                block = _BLOCKS[rng.integers(0, len(_BLOCKS))]
                broken[at : at + len(block)] = block
            case _:
                other = int(rng.integers(0, end))
                broken[at : at + length] = broken[other : other + length]
    return bytes(broken)


def read_mutated(
    source: Path, seed: int, read: Callable[[Path], PointCloud | Events] = read_points
) -> str:
    """Read a broken copy of a file: "read", or "refused" with an error that names the file.

    Args:
        source: A valid file.
        seed: Of the damage.
        read: `read_points` or `read_events`.

    Raises:
        AssertionError: The error does not name the file, or says nothing.
        Exception: Whatever else the reader let through.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"mutated{source.suffix}"
        path.write_bytes(mutate(source.read_bytes(), seed))
        try:
            result = read(path)
        except ReadError as error:
            said = str(error)
            if not said.startswith(f"{path}: ") or len(said) < len(str(path)) + 8:
                raise AssertionError(f"{source.suffix} seed {seed}: unhelpful {said!r}") from error
            return "refused"
    if len(result) == 0 or not _is_sound(result):
        raise AssertionError(f"{source.suffix} seed {seed}: read what is not sound")
    return "read"


def _is_sound(result: PointCloud | Events) -> bool:
    if isinstance(result, PointCloud):
        return bool(np.isfinite(result.xyz).all())
    height, width = result.resolution_hw
    inside = (result.x >= 0) & (result.x < width) & (result.y >= 0) & (result.y < height)
    in_order = result.t[0] >= 0 and (np.diff(result.t) >= 0).all()
    return bool(inside.all() and in_order and (result.p <= 1).all())


def _write_texts(path: object, xyz: np.ndarray, faces: np.ndarray | None) -> None:
    assert callable(path) and faces is not None
    rows = "\n".join(" ".join(f"{v:.9g}" for v in row) for row in xyz)
    corners = "\n".join(f"3 {a} {b} {c}" for a, b, c in faces)
    one = "\n".join(f"f {a + 1}//{a + 1} {b + 1}//{b + 1} {c + 1}//{c + 1}" for a, b, c in faces)
    vertices = "\n".join(f"v {row}" for row in rows.split("\n"))
    normals = vertices.replace("v ", "vn ")
    header = "ply\nformat ascii 1.0\nelement vertex 40\nproperty float x\nproperty float y\n"
    header += "property float z\nelement face 20\nproperty list uchar int vertex_indices\n"
    path("ascii.ply").write_text(f"{header}end_header\n{rows}\n{corners}\n")
    path("a.off").write_text(f"OFF\n40 20 0\n{rows}\n{corners}\n")
    path("a.obj").write_text(f"{vertices}\n{normals}\n{one}\n")
    path("a.xyz").write_text(rows)
    path("a.csv").write_text("x,y,z\n" + rows.replace(" ", ","))
    path("a.txt").write_text(rows)
    path("a.pts").write_text(f"40\n{rows}\n")
    facets = "".join(
        "facet normal 0 0 1\nouter loop\n"
        + "".join("vertex " + " ".join(f"{v:.9g}" for v in xyz[i]) + "\n" for i in face)
        + "endloop\nendfacet\n"
        for face in faces
    )
    path("ascii.stl").write_text(f"solid a\n{facets}endsolid a\n")


def _write_pcd(path: object, xyz: np.ndarray) -> None:
    assert callable(path)
    header = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
        "WIDTH 40\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 40\nDATA "
    )
    rows = "\n".join(" ".join(f"{v:.9g}" for v in row) for row in xyz)
    path("ascii.pcd").write_text(f"{header}ascii\n{rows}\n")
    path("binary.pcd").write_bytes(f"{header}binary\n".encode() + xyz.tobytes())
    plain = xyz.T.tobytes()
    literal = b"".join(bytes([len(p) - 1]) + p for p in _pieces(plain, 32))
    sizes = struct.pack("<II", len(literal), len(plain))
    path("compressed.pcd").write_bytes(f"{header}binary_compressed\n".encode() + sizes + literal)


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def _write_stl(path: Path, xyz: np.ndarray, faces: np.ndarray | None) -> None:
    assert faces is not None
    facets = b"".join(struct.pack("<3f", 0, 0, 1) + xyz[f].tobytes() + b"\0\0" for f in faces)
    path.write_bytes(b"\0" * 80 + struct.pack("<I", len(faces)) + facets)


def _write_h5(path: Path, xyz: np.ndarray) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("points", data=xyz, compression="gzip")
        file["labels"] = np.zeros(len(xyz), np.int64)
