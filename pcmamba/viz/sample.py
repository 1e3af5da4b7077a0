"""What is known of one cloud that is to be seen: its points, labels and a model's answer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pcmamba.data.structures import CloudSet, PointCloud


@dataclass(frozen=True, eq=False)
class Sample:
    """One cloud with its truth and a prediction, as far as they are known.

    Attributes:
        points: (N, 3) float32, N > 0, finite, z up.
        title: Shown above it.
        labels: (N,) int64 true labels, below 0 where a point has none, or None.
        predicted_labels: (N,) int64, or None.
        label_names: Name of each label; empty: the numbers are the names.
        label_kind: What labels are, in a word: "part", "polarity", ….
        class_name: True class of the cloud, or None.
        predicted_class: Class that a model gives it, or None.
        class_names: All classes, in the order that gives each its colour.
        confidence: Probability of the answer, of the cloud or (N,) of its points, or None.
        colors: (N, 3) uint8 colours of the file, or None.
        notes: What was left out or assumed, in words.

    Raises:
        ValueError: An array does not fit the points, or the points are empty or not finite.
    """

    points: np.ndarray
    title: str = ""
    labels: np.ndarray | None = None
    predicted_labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    label_kind: str = "part"
    class_name: str | None = None
    predicted_class: str | None = None
    class_names: tuple[str, ...] = ()
    confidence: float | np.ndarray | None = None
    colors: np.ndarray | None = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3 or len(self.points) == 0:
            raise ValueError(f"points must be (N, 3) with N >= 1, got {self.points.shape}")
        if not np.isfinite(self.points).all():
            raise ValueError("points must be finite, got NaN or infinity")
        for name in ("labels", "predicted_labels", "confidence", "colors"):
            values = getattr(self, name)
            shape = (len(self), 3) if name == "colors" else (len(self),)
            if isinstance(values, np.ndarray) and values.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {values.shape}")

    def __len__(self) -> int:
        return len(self.points)

    def name_of(self, label: int) -> str:
        """Return the name of a label, its number where there is no name."""
        if label < 0:
            return "no label"
        return self.label_names[label] if label < len(self.label_names) else str(label)

    def known_names(self) -> tuple[str, ...]:
        """Return a name for every label that occurs, and those before it."""
        given = [a for a in (self.labels, self.predicted_labels) if a is not None]
        most = max((int(a.max()) + 1 for a in given), default=0)
        return tuple(self.name_of(k) for k in range(max(most, len(self.label_names))))

    def describe(self, index: int) -> str:
        """Say in one line what is known of one point."""
        x, y, z = self.points[index].tolist()
        said = [f"point {index:,} at ({x:.4g}, {y:.4g}, {z:.4g})"]
        if self.labels is not None:
            said.append(f"label {self.name_of(int(self.labels[index]))}")
        if self.predicted_labels is not None:
            said.append(f"predicted {self.name_of(int(self.predicted_labels[index]))}")
        if self.class_name is not None:
            said.append(f"class {self.class_name}")
        if self.predicted_class is not None:
            said.append(f"predicted class {self.predicted_class}")
        if self.confidence is not None:
            said.append(
                f"confidence {float(np.broadcast_to(self.confidence, len(self))[index]):.1%}"
            )
        return ", ".join(said)


def sample_of_cloud(cloud: PointCloud, label_names: tuple[str, ...] = ()) -> Sample:
    """Take a file's cloud, turned z up; an unknown axis is taken as z."""
    turned = cloud.z_up()
    known = f"turned from {cloud.up_axis} up" if cloud.up_axis in ("x", "y") else ""
    frame = "up axis not given, taken as z" if cloud.up_axis is None else known
    return Sample(
        points=turned.xyz,
        title=cloud.source,
        labels=cloud.labels,
        label_names=label_names,
        colors=cloud.colors,
        notes=tuple(note for note in (frame, *cloud.notes) if note),
    )


def sample_of_set(cloud_set: CloudSet, index: int) -> Sample:
    """Take one cloud of a set.

    Raises:
        ValueError: There is no such cloud.
    """
    if not 0 <= index < len(cloud_set):
        raise ValueError(f"index must be 0 to {len(cloud_set) - 1}, got {index}")
    parts = cloud_set.part_labels
    return Sample(
        points=cloud_set.points[index].numpy(),
        title=f"{cloud_set.name} {cloud_set.split} {index}: {cloud_set.ids[index]}",
        labels=None if parts is None else parts[index].numpy(),
        label_names=cloud_set.part_names,
        class_name=cloud_set.class_names[int(cloud_set.labels[index])],
        class_names=cloud_set.class_names,
    )
