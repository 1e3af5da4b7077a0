"""Which data sets there are, which of them lie in a folder, and where the others come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pcmamba.data.datasets import DATASETS

_MODELNET = "https://modelnet.cs.princeton.edu"


@dataclass(frozen=True)
class Source:
    """Where a data set comes from, and how it is known on disk.

    Attributes:
        where: Address, or what to do.
        marks: Files, as patterns below the data folder or a folder in it; one of them is enough.
    """

    where: str
    marks: tuple[str, ...] = ()


SOURCES = {
    "cifar10_dvs": Source(
        "https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671",
        ("airplane/cifar10_*.aedat", "airplane/*.aedat4"),
    ),
    "dvs128_gesture": Source(
        "https://research.ibm.com/interactive/dvsgesture",
        ("trials_to_train.txt", "ibmGestureTrain/*/*.npy"),
    ),
    "efaction": Source("no public download; ask its authors"),
    "folder": Source("your own files: ROOT/class_name/file"),
    "gestures": Source("built in"),
    "hardvs": Source("https://github.com/Event-AHU/HARDVS", ("train_label.txt",)),
    "modelnet10": Source(_MODELNET, ("ModelNet10/*/train",)),
    "modelnet40": Source(
        "modelnet40_ply_hdf5_2048.zip of the PointNet project",
        ("modelnet40_ply_hdf5_2048/ply_data_train0.h5", "ply_data_train0.h5"),
    ),
    "modelnet40_meshes": Source(_MODELNET, ("ModelNet40/*/train",)),
    "modelnet40_resampled": Source(
        "modelnet40_normal_resampled.zip of the PointNet++ project",
        ("modelnet40_normal_resampled/modelnet40_shape_names.txt", "modelnet40_shape_names.txt"),
    ),
    "modelnet_fewshot": Source(
        "ModelNetFewshot of the Point-BERT project",
        ("ModelNetFewshot/*way*/0.pkl", "*way*shot/0.pkl"),
    ),
    "ncaltech101": Source(
        "https://www.garrickorchard.com/datasets/n-caltech101",
        ("Faces_easy/image_*.bin", "accordion/image_*.bin"),
    ),
    "nmnist": Source(
        "https://www.garrickorchard.com/datasets/n-mnist: Train.zip and Test.zip, unpacked",
        ("Train/0/*.bin", "Test/0/*.bin"),
    ),
    "paf": Source(
        "https://github.com/CrystalMiaoshu/PAFBenchmark",
        ("arm?crossing/*.aedat", "*[wW]aving/*.aedat"),
    ),
    "radhar": Source(
        "https://github.com/nesl/RadHAR, as npz files", ("Train/boxing/*.npz", "Train/walk/*.npz")
    ),
    "s3dis": Source(
        "http://buildingparser.stanford.edu/dataset.html, on request",
        ("Area_*/*/Annotations", "Area_*_*.npy", "*/Area_*/*/Annotations", "raw/Area_*_*.npy"),
    ),
    "scanobjectnn": Source(
        "https://hkust-vgd.github.io/scanobjectnn, on request",
        ("h5_files/main_split*/*.h5", "main_split*/*.h5"),
    ),
    "seact": Source(
        "https://github.com/jiazhou-garland/ExACT", ("*/[0-9][0-9][0-9][0-9]-*.aedat4",)
    ),
    "shapenet55": Source(
        "https://shapenet.org, on request", ("ShapeNet-55/train.txt", "*/ShapeNet-55/train.txt")
    ),
    "shapenetpart": Source("https://shapenet.org, on request", ("synsetoffset2category.txt",)),
    "shapes": Source("built in"),
}


def find_on_disk(name: str, root: Path) -> Path | None:
    """Return the folder below `root`, or itself, where a data set lies, or None."""
    source = SOURCES.get(name, Source(""))
    if not root.is_dir():
        raise FileNotFoundError(f"root must be an existing folder, got {root}")
    places = [root, *sorted(p for p in root.iterdir() if p.is_dir() and p.name[0] != ".")]
    for place in places:
        if any(next(place.glob(mark), None) is not None for mark in source.marks):
            return place
    return None


def catalogue(root: Path | None) -> list[str]:
    """Describe all data sets as lines of a table: name, where it lies or comes from, what it is.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    rows = [("data set", "on disk" if root else "where to get it", "what it is")]
    for name in DATASETS:
        source = SOURCES.get(name, Source("not known"))
        place = source.where
        if root is not None and source.marks:
            found = find_on_disk(name, root)
            place = str(found) if found else f"missing: {source.where}"
        rows.append((name, place, (DATASETS[name].__doc__ or "").strip().partition("\n")[0]))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return [f"{a:{widths[0]}}  {b:{widths[1]}}  {c}" for a, b, c in rows]
