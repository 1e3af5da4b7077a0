"""ScanObjectNN: 2,902 real scans of indoor objects of 15 classes, in the HDF5 release.

Licence: research, on request. Nothing is downloaded: get `h5_files` and give its folder, or one
above it, as `root`. y is up; coordinates are as scanned, neither centred nor scaled. Source: Uy et
al., Revisiting Point Cloud Classification (2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from pcmamba.data.axes import check_up_axis, to_z_up
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.modelnet40_h5 import read_file
from pcmamba.data.report import report_splits
from pcmamba.data.structures import CloudSet
from pcmamba.registry import unknown_name

URL = "https://hkust-vgd.github.io/scanobjectnn"
LICENCE = "research, on request"
# fmt: off
CLASS_NAMES = (
    "bag", "bin", "box", "cabinet", "chair", "desk", "display", "door", "shelf", "table", "bed",
    "pillow", "sink", "sofa", "toilet",
)
# fmt: on
_WARPED = "_objectdataset_augmentedrot_scale75.h5"
VARIANTS = {
    "OBJ_BG": ("main_split", "_objectdataset.h5", (2309, 581)),
    "OBJ_ONLY": ("main_split_nobg", "_objectdataset.h5", (2309, 581)),
    "PB_T50_RS": ("main_split", _WARPED, (11416, 2882)),
}
_FILE_OF_SPLIT = {"train": "training", "test": "test"}


@DATASETS.register("scanobjectnn")
@dataclass(frozen=True)
class ScanObjectNN:
    """Real indoor objects of 15 classes; the variant is chosen by name.

    Args:
        root: The folder h5_files or one above it.
        variant: PB_T50_RS (hardest, with background, moved and turned), OBJ_BG or OBJ_ONLY.
        up_axis: Axis that points up in the files.
        strict: Refuse other counts than the official ones; False only notes them.

    Raises:
        ValueError: Unknown variant or axis.
    """

    root: str | None = None
    variant: str = "PB_T50_RS"
    up_axis: str = "y"
    strict: bool = True

    def __post_init__(self) -> None:
        check_up_axis(self.up_axis)
        if self.variant not in VARIANTS:
            raise ValueError(unknown_name("variant", self.variant, VARIANTS))

    def load(self, split: str) -> CloudSet:
        """Read a split in the order of its file.

        Raises:
            ValueError: Unknown split, a file that holds something else, or other counts.
            FileNotFoundError: A folder or file is missing.
        """
        if split not in _FILE_OF_SPLIT:
            raise ValueError(f"split must be train or test, got {split!r}")
        path = self._path(split)
        points, labels = read_file(path, len(CLASS_NAMES))
        wanted = VARIANTS[self.variant][2][list(_FILE_OF_SPLIT).index(split)]
        notes = [f"variant {self.variant}, {path.parent.name}/{path.name}"]
        if len(labels) != wanted:
            fault = f"{path}: {split} must have {wanted:,} clouds, got {len(labels):,}"
            if self.strict:
                raise ValueError(f"{fault}; strict=False takes them as they are")
            notes.append(fault)
        return CloudSet(
            points=torch.from_numpy(np.ascontiguousarray(to_z_up(points, self.up_axis))),
            labels=torch.from_numpy(labels),
            class_names=CLASS_NAMES,
            ids=tuple(f"{split}_{i:05d}" for i in range(len(labels))),
            name=f"scanobjectnn {self.variant}",
            split=split,
            up_axis=self.up_axis,
            notes=tuple(notes),
        )

    def check(self) -> list[str]:
        """Load both splits and describe them."""
        lines = report_splits(self.load("train"), self.load("test"))
        return [*lines, f"licence: {LICENCE}, {URL}"]

    @classmethod
    def make_fake(cls, root: str) -> ScanObjectNN:
        """Write all variants with two training clouds and one test cloud a class."""
        for number, (folder, ending, _) in enumerate(VARIANTS.values()):
            for split, copies in (("training", 2), ("test", 1)):
                rng = np.random.default_rng([number, copies])
                path = Path(root) / "h5_files" / folder / f"{split}{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                with h5py.File(path, "w") as file:
                    size = copies * len(CLASS_NAMES)
                    file["data"] = rng.random((size, 32, 3)).astype(np.float32)
                    file["label"] = np.arange(size, dtype=np.int32) % len(CLASS_NAMES)
        return cls(root, strict=False)

    def _path(self, split: str) -> Path:
        folder, ending, _ = VARIANTS[self.variant]
        name = f"{_FILE_OF_SPLIT[split]}{ending}"
        if self.root is None or not Path(self.root).is_dir():
            raise FileNotFoundError(f"root must be the folder h5_files, got {self.root}; see {URL}")
        roots = [Path(self.root), Path(self.root) / "h5_files"]
        roots += [Path(self.root) / "ScanObjectNN" / "h5_files"]
        for root in roots:
            if (root / folder / name).is_file():
                return root / folder / name
        raise FileNotFoundError(
            f"{roots[0]} must hold {folder}/{name} for variant {self.variant}, found none; "
            f"see {URL}"
        )
