"""The two forms of point data: one cloud from a file, and a labelled set of clouds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from pcmamba.data.axes import check_up_axis, to_z_up
from pcmamba.data.batch import CloudBatch, Domain


@dataclass(frozen=True, eq=False)
class PointCloud:
    """One cloud as a file holds it. Arrays are kept, not copied, and never modified in place.

    Attributes:
        xyz: (N, 3) float32, N > 0, finite, in the file's units and frame.
        normals: (N, 3) float32, finite, or None.
        colors: (N, 3) uint8, red, green, blue, or None.
        intensity: (N,) float32, or None.
        labels: (N,) int64, or None.
        faces: (F, 3) int64 corners of triangles, indices of points, or None.
        attributes: Every other value per point by its name, each (N, ...).
        source: Where the cloud came from, for messages.
        up_axis: Axis that points up in `xyz`, or None if unknown.
        notes: What a reader guessed or left out, in words.
        origin: What was subtracted from the coordinates of the file, in float64; `xyz + origin` is
            the place in the world.

    Raises:
        TypeError: An array is no NumPy array or of another dtype.
        ValueError: A shape, a face index or the up axis is wrong, or a value is not finite.
    """

    xyz: np.ndarray
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None
    intensity: np.ndarray | None = None
    labels: np.ndarray | None = None
    faces: np.ndarray | None = None
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)
    source: str = ""
    up_axis: str | None = None
    notes: tuple[str, ...] = ()
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        size = len(self.xyz) if isinstance(self.xyz, np.ndarray) and self.xyz.ndim else 0
        _check_array("xyz", self.xyz, np.float32, (size, 3))
        if size == 0:
            raise ValueError("xyz must have at least one point, got none")
        _check_array("normals", self.normals, np.float32, (size, 3))
        _check_array("colors", self.colors, np.uint8, (size, 3))
        _check_array("intensity", self.intensity, np.float32, (size,))
        _check_array("labels", self.labels, np.int64, (size,))
        _check_faces(self.faces, size)
        for name, values in self.attributes.items():
            if not isinstance(values, np.ndarray) or values.shape[:1] != (size,):
                raise ValueError(f"attributes must have {size} values each, {name!r} has not")
        if self.up_axis is not None:
            check_up_axis(self.up_axis)

    def __len__(self) -> int:
        return len(self.xyz)

    def z_up(self) -> PointCloud:
        """Return the cloud rotated from its `up_axis` to z; an unknown axis leaves it as it is."""
        if self.up_axis in (None, "z"):
            return self
        normals = None if self.normals is None else to_z_up(self.normals, self.up_axis)
        x, y, z = to_z_up(np.array(self.origin), self.up_axis).tolist()
        xyz = to_z_up(self.xyz, self.up_axis)
        return replace(self, xyz=xyz, normals=normals, up_axis="z", origin=(x, y, z))


@dataclass(frozen=True, eq=False)
class CloudSet:
    """Labelled clouds of equal size, z up. Tensors are kept, not copied, never modified in place.

    Attributes:
        points: (S, N, 3) float32, S and N > 0, finite, z up.
        labels: (S,) int64 classes, 0 to the number of class names.
        class_names: Name of each class.
        ids: Name of each cloud.
        name: Name of the data set.
        split: "train", "test", ….
        up_axis: Axis that pointed up in the source files.
        normals: (S, N, 3) float32, z up, or None.
        part_labels: (S, N) int64, 0 to the number of part names, or None.
        part_names: Name of each part.
        keys: (S,) int64 key of each cloud as its file holds it, before any choice of points, or
            None; equal clouds have equal keys.
        synthetic: True for generated shapes.
        notes: What the loader decided or found unusual, in words.

    Raises:
        TypeError: A tensor is none or of another dtype.
        ValueError: A shape disagrees, a label is out of range, or a value is not finite.
    """

    domain: ClassVar[Domain] = "clouds"
    unit: ClassVar[str] = "clouds"

    points: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    name: str
    split: str
    up_axis: str
    normals: Tensor | None = None
    part_labels: Tensor | None = None
    part_names: tuple[str, ...] = ()
    keys: Tensor | None = None
    synthetic: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_tensor("points", self.points, torch.float32, (None, None, 3))
        size, count = self.points.shape[:2]
        if size == 0 or count == 0:
            raise ValueError(f"points must not be empty, got shape {tuple(self.points.shape)}")
        _check_tensor("labels", self.labels, torch.int64, (size,))
        _check_tensor("normals", self.normals, torch.float32, (size, count, 3))
        _check_tensor("part_labels", self.part_labels, torch.int64, (size, count))
        _check_tensor("keys", self.keys, torch.int64, (size,))
        _check_range("labels", self.labels, self.class_names, "class_names")
        _check_range("part_labels", self.part_labels, self.part_names, "part_names")
        if len(self.ids) != size:
            raise ValueError(f"ids must name the {size} clouds, got {len(self.ids)} names")
        check_up_axis(self.up_axis)

    def __len__(self) -> int:
        return len(self.points)

    def batch(self, index: Tensor) -> CloudBatch:
        """Return the clouds at `index` (B,) on the device of the points."""
        return CloudBatch(self.points[index], self.labels[index], index)

    def take(self, index: Tensor) -> CloudSet:
        """Return the set of the clouds at `index` (S',)."""
        changes: dict[str, Any] = {"ids": tuple(self.ids[i] for i in index.tolist())}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, Tensor):
                changes[entry.name] = value[index]
        return replace(self, **changes)

    def to(self, device: torch.device | str | None) -> CloudSet:
        """Return the set with points and labels on `device`; None leaves them where they are.

        Normals, part labels and keys stay: no batch holds them, and a GPU's memory is dear.
        """
        points, labels = self.points.to(device), self.labels.to(device)
        if points is self.points and labels is self.labels:
            return self
        return replace(self, points=points, labels=labels)


def _check_array(
    name: str, values: np.ndarray | None, dtype: type[np.generic], shape: tuple[int, ...]
) -> None:
    if values is None and name != "xyz":
        return
    if not isinstance(values, np.ndarray) or values.dtype != dtype:
        got = getattr(values, "dtype", type(values).__name__)
        raise TypeError(f"{name} must be a {dtype.__name__} array, got {got}")
    if values.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {values.shape}")
    if dtype == np.float32 and not math.isfinite(values.sum(dtype=np.float64)):
        raise ValueError(f"{name} must be finite, got {_count_bad(values)} values that are not")


def _count_bad(values: np.ndarray) -> int:
    return int(values.size - np.isfinite(values).sum())


def _check_faces(faces: np.ndarray | None, size: int) -> None:
    if faces is None:
        return
    _check_array("faces", faces, np.int64, (len(faces), 3))
    if len(faces) and not 0 <= faces.min() <= faces.max() < size:
        raise ValueError(f"faces must index the {size} points, got {faces.min()} to {faces.max()}")


def _check_tensor(
    name: str, values: Tensor | None, dtype: torch.dtype, shape: tuple[int | None, ...]
) -> None:
    if values is None and name in ("normals", "part_labels", "keys"):
        return
    if not isinstance(values, Tensor) or values.dtype != dtype:
        got = getattr(values, "dtype", type(values).__name__)
        raise TypeError(f"{name} must be a {dtype} tensor, got {got}")
    fits = values.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, values.shape, strict=True)
    )
    if not fits:
        said = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must have shape ({said}), got {tuple(values.shape)}")
    if dtype == torch.float32 and not math.isfinite(values.sum(dtype=torch.float64).item()):
        bad = (~torch.isfinite(values.reshape(len(values), -1)).all(dim=1)).nonzero()
        raise ValueError(
            f"{name} must be finite, got values that are not, first in {bad[0].item()}"
        )


def _check_range(name: str, labels: Tensor | None, names: tuple[str, ...], names_of: str) -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"{names_of} must differ, got {names}")
    if labels is None:
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(names):
        raise ValueError(
            f"{name} must be in 0 … {len(names) - 1} for {len(names)} {names_of}, "
            f"got {low} to {high}"
        )
