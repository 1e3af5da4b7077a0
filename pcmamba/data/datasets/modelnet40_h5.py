"""Files of the HDF5 release of ModelNet40."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import h5py
import numpy as np

from pcmamba.data.listing import last_part, read_text_list, sorted_naturally

FOLDER = "modelnet40_ply_hdf5_2048"


@dataclass(frozen=True)
class H5Split:
    """Content of a split's files, one after the other.

    Attributes:
        points: (S, N, 3) float32 in the frame of the files.
        labels: (S,) int64.
        ids: Name of each shape, such as `flower_pot_0001`, or None where a file has no list.
    """

    points: np.ndarray
    labels: np.ndarray
    ids: tuple[str, ...] | None


def locate(root: str | None) -> Path:
    """Return the folder of the HDF5 files: `root` itself or the release's folder inside it.

    Raises:
        ValueError: No root.
        FileNotFoundError: There is no such folder, or none of the files in it.
        NotImplementedError: The folder holds another form of ModelNet40.
    """
    if root is None:
        raise ValueError(f"root must be the folder {FOLDER} or the one above it, got None")
    above = Path(root)
    if not above.is_dir():
        raise FileNotFoundError(f"root must be an existing folder, got {above}")
    for folder in (above, above / FOLDER):
        if any(folder.glob("ply_data_t*.h5")) or (folder / "train_files.txt").is_file():
            return folder
    _refuse_other_forms(above)
    raise FileNotFoundError(
        f"root must hold the HDF5 files of ModelNet40 (ply_data_train0.h5, …), found none in "
        f"{above} nor in {above / FOLDER}"
    )


def _refuse_other_forms(root: Path) -> None:
    signs = {
        "modelnet40_resampled": (
            "modelnet40_shape_names.txt",
            "modelnet40_normal_resampled/modelnet40_shape_names.txt",
            "modelnet40_train_8192pts_fps.dat",
        ),
        "modelnet40_meshes": ("airplane/train", "ModelNet40/airplane/train"),
    }
    for form, places in signs.items():
        found = [place for place in places if (root / place).exists()]
        if found:
            raise NotImplementedError(
                f"{root / found[0]} belongs to another form of ModelNet40: read it as the data set "
                f"{form}, or give the folder of the HDF5 release, {FOLDER}"
            )


def read_split(folder: Path, split: str, num_classes: int) -> H5Split:
    """Read all files of a split, in the order of their numbers.

    Raises:
        FileNotFoundError: The split has no files, or a listed one is missing.
        ValueError: A file cannot be read or holds something else than expected.
    """
    files = _files(folder, split)
    parts = [read_file(path, num_classes) for path in files]
    sizes = {points.shape[1] for points, _ in parts}
    if len(sizes) != 1:
        raise ValueError(f"{folder}: {split} files must agree in points, got {sorted(sizes)}")
    ids = [_read_ids(path, len(labels)) for path, (_, labels) in zip(files, parts, strict=True)]
    return H5Split(
        np.concatenate([points for points, _ in parts]),
        np.concatenate([labels for _, labels in parts]),
        None if any(part is None for part in ids) else tuple(i for part in ids for i in part or ()),
    )


def _files(folder: Path, split: str) -> list[Path]:
    """Return the files that the split's list names, or without a list those that lie there."""
    text_list = folder / f"{split}_files.txt"
    if text_list.is_file():
        names = [last_part(line) for line in read_text_list(text_list)]
        if len(set(names)) != len(names):
            raise ValueError(f"{text_list} must name each file once, got {', '.join(names)}")
        files = [folder / name for name in names]
    else:
        files = list(folder.glob(f"ply_data_{split}*.h5"))
    if not files:
        raise FileNotFoundError(f"{folder} must hold ply_data_{split}0.h5 …, found none")
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is named in {text_list.name} but missing")
    return sorted_naturally(files)


def read_file(path: Path, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Read `data` (n, N, 3) and `label` (n,) of one HDF5 file, as float32 and int64.

    Raises:
        ValueError: The file cannot be read, or a shape, a type, a label or a coordinate is wrong.
    """
    try:
        with h5py.File(path) as file:
            points, labels = file["data"][:], file["label"][:]
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} must be HDF5 with arrays data and label, got {error}") from error
    if points.ndim != 3 or points.shape[2] != 3 or points.size == 0 or points.dtype.kind != "f":
        raise ValueError(
            f"{path}: data must be floats (n, N, 3), got {points.dtype} {points.shape}"
        )
    if labels.shape not in ((len(points),), (len(points), 1)) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{path}: label must be whole numbers ({len(points)}, 1), "
            f"got {labels.dtype} {labels.shape}"
        )
    labels = labels.reshape(-1).astype(np.int64)
    if not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"{path}: label must be in 0 … {num_classes - 1}, got {labels.min()} to {labels.max()}"
        )
    bad = ~np.isfinite(points).all(axis=(1, 2))
    if bad.any():
        raise ValueError(
            f"{path}: data must be finite, got NaN or infinity in {bad.sum()} clouds, "
            f"first in row {bad.argmax()}"
        )
    return points.astype(np.float32), labels


def _read_ids(path: Path, size: int) -> tuple[str, ...] | None:
    """Read the names beside `ply_data_train0.h5`: `ply_data_train_0_id2file.json`."""
    number = path.stem[len(path.stem.rstrip("0123456789")) :]
    names = path.with_name(f"{path.stem.removesuffix(number)}_{number}_id2file.json")
    if not names.is_file():
        return None
    try:
        entries = json.loads(names.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{names} must be JSON, got {error}") from error
    if not isinstance(entries, list) or len(entries) != size:
        got = len(entries) if isinstance(entries, list) else type(entries).__name__
        raise ValueError(f"{names} must list the {size} shapes of {path.name}, got {got}")
    return tuple(PurePosixPath(last_part(str(entry))).stem for entry in entries)
