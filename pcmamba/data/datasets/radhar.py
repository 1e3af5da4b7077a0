"""RadHAR: five human activities seen by a millimetre-wave radar, as event-like recordings.

Licence: BSD-3-Clause. Nothing is downloaded. Layout: Train|Test/<activity>/<recording>.npz with
`points` (n, 5): x away from the radar, y sideways, z up, metres, velocity, m/s, intensity, dB;
`frame` (n,) from 0, about 30 a second, 15 to 27 points each; `time` (n,) s. Recordings, cut into
windows of 60 frames that do not overlap; what remains at the end of one is left out. The split of
recordings is the official one. Source: Singh et al., RadHAR (2019).

A radar point has five numbers and an event four, so a window becomes a picture of several panels:
each panel shows two of the axes, every point is an event in every panel, at the time of its frame,
and the sign of its velocity is the polarity.
"""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from pcmamba.data.batch import Domain
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.event_files import Labelled, check_split, find_folder
from pcmamba.data.event_report import check_event_set
from pcmamba.data.event_set import EventSet
from pcmamba.data.event_survey import gather_notes
from pcmamba.data.events import Events
from pcmamba.data.listing import visible
from pcmamba.registry import unknown_name

URL = "https://github.com/nesl/RadHAR"
LICENCE = "BSD-3-Clause"
CLASS_NAMES = ("boxing", "jack", "jump", "squats", "walk")
SPLITS = ("train", "test")
WINDOW = 60  # frames
_FASTEST = 10.0  # m/s; people do not move so fast
_FARTHEST = 10.0  # m; the radar sees 5 m


class Axis(NamedTuple):
    """A column of the points and the range of it that a panel shows."""

    column: int
    low: float
    high: float


AXES = {
    "x": Axis(0, 0.0, 3.2),
    "y": Axis(1, -1.6, 1.6),
    "z": Axis(2, -1.6, 1.6),
    "velocity": Axis(3, -5.0, 5.0),
    "intensity": Axis(4, 8.0, 40.0),
}
# Across and up; what lies beyond the range is shown at its border. The people are within 3 m, and a
# room's walls need no more than a border.
PANELS = {
    "side": ("x", "z"),
    "front": ("y", "z"),
    "top": ("y", "x"),
    "range_velocity": ("x", "velocity"),
    "height_velocity": ("velocity", "z"),
    "height_intensity": ("intensity", "z"),
}


class _Radar(NamedTuple):
    """One recording without its garbage."""

    points: np.ndarray
    frame: np.ndarray
    microseconds: np.ndarray
    notes: tuple[str, ...]


class RadarWindow(NamedTuple):
    """60 frames of a recording, without their garbage.

    Attributes:
        points: (n, 5) float32 x, y, z, velocity and intensity, in order of time.
        microseconds: (n,) int64 time of each point's frame, from the recording's start.
        label: Its class.
        name: Its name in the set.
        recording: The recording it is cut from.
    """

    points: np.ndarray
    microseconds: np.ndarray
    label: int
    name: str
    recording: str


@DATASETS.register("radhar")
@dataclass(frozen=True)
class RadHar:
    """Radar points of 5 human activities in windows of 60 frames, drawn as events.

    Args:
        root: The folder of Train and Test, or the one above it.
        view: Panels side by side, joined by "+": side, front, top, range_velocity,
            height_velocity, height_intensity. One panel alone is the plain point form: (x, y, t)
            is then a cloud without a point twice.
        side: Pixels along each side of a panel; for clouds choose many, such as 256.
        polarity: "sign": 1 where a point comes nearer or goes away with a velocity above 0, so
            that what stands still is 0; "moving": 1 where it moves at all.

    Raises:
        ValueError: An unknown panel or polarity, or `side` out of range.
    """

    root: str | None = None
    view: str = "side+range_velocity"
    side: int = 32
    polarity: str = "sign"

    domain: ClassVar[Domain] = "events"
    licence: ClassVar[str] = f"{LICENCE}, {URL}"

    def __post_init__(self) -> None:
        for panel in self.view.split("+"):
            if panel not in PANELS:
                raise ValueError(unknown_name("panel of view", panel, PANELS))
        if self.polarity not in ("sign", "moving"):
            raise ValueError(f"polarity must be 'sign' or 'moving', got {self.polarity!r}")
        if not 4 <= self.side <= 1024:
            raise ValueError(f"side must be 4 to 1024, got {self.side}")

    @property
    def resolution_hw(self) -> tuple[int, int]:
        """H and W of the picture that the panels make together."""
        return self.side, self.side * len(self.view.split("+"))

    def load(self, split: str) -> EventSet:
        """Read a split: activity by activity, recording by recording, window by window.

        Raises:
            ValueError: Unknown split, or a file that holds something else; the file is named.
            FileNotFoundError: A folder is missing.
        """
        windows, notes = self.windows(split)
        count = len({window.recording for window in windows})
        said = f"{count:,} recordings in windows of {WINDOW} frames, view {self.view}"
        return EventSet.from_recordings(
            [self._draw(window.points, window.microseconds) for window in windows],
            [window.label for window in windows],
            class_names=CLASS_NAMES,
            ids=tuple(window.name for window in windows),
            name="radhar",
            split=split,
            resolution_hw=self.resolution_hw,
            groups=tuple(window.recording for window in windows),
            notes=(said, f"polarity is {self.polarity} of velocity", *notes),
        )

    def windows(self, split: str) -> tuple[list[RadarWindow], list[str]]:
        """Read the points of a split's windows as they are measured, and what was left out.

        Raises:
            ValueError: As `load`.
            FileNotFoundError: As `load`.
        """
        check_split(split, SPLITS)
        root = find_folder(self.root, ("Train/*/*.npz",), URL)
        files = _list(root, split)
        radars = [_read(file.path) for file in files]
        windows = [w for f, r in zip(files, radars, strict=True) for w in _cut(r, f.label, f.name)]
        pairs = [(f.name, n) for f, r in zip(files, radars, strict=True) for n in r.notes]
        return windows, gather_notes(pairs)

    def check(self) -> list[str]:
        """Load both splits and describe them."""
        return check_event_set(self)

    @classmethod
    def make_fake(cls, root: str) -> RadHar:
        """Write two training recordings and one test recording of each activity."""
        for label, name in enumerate(CLASS_NAMES):
            for number in range(3):
                path = Path(root) / ("Test" if number == 2 else "Train") / name / f"{number}.npz"
                path.parent.mkdir(parents=True, exist_ok=True)
                _write_fake(path, np.random.default_rng([label, number]), label)
        return cls(root)

    def _draw(self, points: np.ndarray, microseconds: np.ndarray) -> Events:
        """Return every point as an event in every panel."""
        panels = [PANELS[panel] for panel in self.view.split("+")]
        x = [self._pixel(points, across) + n * self.side for n, (across, _) in enumerate(panels)]
        y = [self.side - 1 - self._pixel(points, up) for _, up in panels]
        velocity = points[:, 3]
        p = velocity > 0 if self.polarity == "sign" else velocity != 0
        # Point by point, all its panels at one time: the order of time needs no sorting.
        return Events.from_arrays(
            np.stack(x, axis=1).ravel(),
            np.stack(y, axis=1).ravel(),
            np.repeat(microseconds, len(panels)),
            np.repeat(p, len(panels)),
            self.resolution_hw,
        )

    def _pixel(self, points: np.ndarray, name: str) -> np.ndarray:
        axis = AXES[name]
        share = (points[:, axis.column].astype(np.float64) - axis.low) / (axis.high - axis.low)
        pixel: np.ndarray = np.clip(np.floor(share * self.side), 0, self.side - 1)
        return pixel.astype(np.int64)


def _list(root: Path, split: str) -> list[Labelled]:
    files = []
    for label, name in enumerate(CLASS_NAMES):
        folder = root / split.capitalize() / name
        paths = [p for p in visible(folder) if p.suffix == ".npz"] if folder.is_dir() else []
        if not paths:
            raise FileNotFoundError(f"{folder} must be a folder of .npz files, found none")
        for path in paths:
            files.append(Labelled(path, label, path.relative_to(root).with_suffix("").as_posix()))
    return files


def _cut(radar: _Radar, label: int, name: str) -> Iterator[RadarWindow]:
    count = (int(radar.frame[-1]) + 1) // WINDOW
    bounds = np.searchsorted(radar.frame, np.arange(count + 1) * WINDOW)
    for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
        points, microseconds = radar.points[begin:end], radar.microseconds[begin:end]
        yield RadarWindow(points, microseconds, label, f"{name}#{number:02d}", name)


def _read(path: Path) -> _Radar:
    """Read a recording and leave out points that are none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            points, frame, time = (file[name] for name in ("points", "frame", "time"))
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} must hold points, frame and time, got {error}") from error
    size = len(frame)
    if not (points.shape == (size, 5) and time.shape == frame.shape == (size,) and size):
        raise ValueError(
            f"{path}: points must be (n, 5) and frame and time (n,), got {points.shape}, "
            f"{frame.shape} and {time.shape}"
        )
    if not np.isfinite(points).all() or not np.isfinite(time).all():
        raise ValueError(f"{path}: points and time must be finite, got values that are not")
    if frame[0] < 0 or (np.diff(frame) < 0).any() or (np.diff(time) < 0).any():
        raise ValueError(f"{path}: frame and time must not fall, got some that do")
    good = (np.abs(points[:, :3]) <= _FARTHEST).all(axis=1) & (np.abs(points[:, 3]) <= _FASTEST)
    # All points of a frame share the time of its first.
    first = np.searchsorted(frame, frame)
    microseconds = np.floor((time[first] - time[0]) * 1e6).astype(np.int64)
    bad = size - int(good.sum())
    notes = (f"{bad} points left out: beyond 10 m or faster than 10 m/s",) if bad else ()
    return _Radar(points[good], frame[good], microseconds[good], notes)


def _write_fake(path: Path, rng: np.random.Generator, label: int) -> None:
    frame = np.repeat(np.arange(2 * WINDOW + 5), 3)
    points = rng.normal(0, 0.2, (len(frame), 5)).astype(np.float32)
    points[:, 0] += 1.5
    points[:, 2] += 0.4 * np.sin(frame * (0.1 + 0.1 * label))
    points[:, 4] += 25.0
    points[0, 3] = -888.0
    time = frame / 30.0 + np.tile([0.0, 1e-5, 2e-5], len(frame) // 3)
    np.savez(path, points=points, frame=frame.astype(np.int32), time=time)
