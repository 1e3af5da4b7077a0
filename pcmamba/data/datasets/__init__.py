"""Data sets, one file each."""

from __future__ import annotations

from typing import Any

from pcmamba.registry import Registry

DATASETS: Registry[type[Any]] = Registry("data set")

# Below the registry, since each of them adds itself to it.
from pcmamba.data.datasets.cifar10_dvs import Cifar10Dvs  # noqa: E402
from pcmamba.data.datasets.dvs128_gesture import DVS128Gesture  # noqa: E402
from pcmamba.data.datasets.efaction import EFAction  # noqa: E402
from pcmamba.data.datasets.few_shot import FewShot  # noqa: E402
from pcmamba.data.datasets.folder import Folder  # noqa: E402
from pcmamba.data.datasets.gestures import Gestures  # noqa: E402
from pcmamba.data.datasets.hardvs import HARDVS  # noqa: E402
from pcmamba.data.datasets.modelnet40 import ModelNet40  # noqa: E402
from pcmamba.data.datasets.modelnet_fewshot import ModelNetFewShot  # noqa: E402
from pcmamba.data.datasets.modelnet_meshes import ModelNet10, ModelNet40Meshes  # noqa: E402
from pcmamba.data.datasets.modelnet_resampled import ModelNetResampled  # noqa: E402
from pcmamba.data.datasets.ncaltech101 import NCaltech101  # noqa: E402
from pcmamba.data.datasets.nmnist import NMnist  # noqa: E402
from pcmamba.data.datasets.paf import PAF  # noqa: E402
from pcmamba.data.datasets.radhar import RadHar  # noqa: E402
from pcmamba.data.datasets.s3dis import S3DIS  # noqa: E402
from pcmamba.data.datasets.scanobjectnn import ScanObjectNN  # noqa: E402
from pcmamba.data.datasets.seact import SeAct  # noqa: E402
from pcmamba.data.datasets.shapenet55 import ShapeNet55  # noqa: E402
from pcmamba.data.datasets.shapenetpart import ShapeNetPart  # noqa: E402
from pcmamba.data.datasets.shapes import Shapes  # noqa: E402

__all__ = [
    "DATASETS",
    "HARDVS",
    "PAF",
    "S3DIS",
    "Cifar10Dvs",
    "DVS128Gesture",
    "EFAction",
    "FewShot",
    "Folder",
    "Gestures",
    "ModelNet10",
    "ModelNet40",
    "ModelNet40Meshes",
    "ModelNetFewShot",
    "ModelNetResampled",
    "NCaltech101",
    "NMnist",
    "RadHar",
    "ScanObjectNN",
    "SeAct",
    "ShapeNet55",
    "ShapeNetPart",
    "Shapes",
]
