"""The loaders on real data, where they lie beside the project."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pcmamba.data.datasets import S3DIS, ModelNet40, ShapeNetPart
from pcmamba.data.faults import find_faults
from pcmamba.testing import shared_folder


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = shared_folder()
    if folder is None or not (folder / "data" / "unpack.py").is_file():
        pytest.skip("needs the packed data sets")
    out = tmp_path_factory.mktemp("sets")

    def unpack(name: str):
        script = [sys.executable, str(folder / "data" / "unpack.py"), name, "--out", str(out)]
        subprocess.run(script, check=True, capture_output=True)
        return str(out / name if name != "modelnet40" else out)

    return unpack


def faults(made) -> list[str]:
    return [f.detail for f in find_faults(made.load) if f.verdict == "FAULT"]


@pytest.mark.slow
def test_modelnet40(unpacked):
    assert faults(ModelNet40(unpacked("modelnet40"))) == []


@pytest.mark.slow
def test_parts19_in_the_layout_of_shapenetpart(unpacked):
    made = ShapeNetPart(unpacked("parts19"))
    train, test = made.load("train"), made.load("test")
    assert (len(train), len(test)) == (266, 114)
    assert len(train.class_names) == 19 and len(train.part_names) == 94
    assert train.part_names[0] == "Airplane.body"
    assert train.labels.bincount().tolist() == [14] * 19
    assert faults(made) == []


@pytest.mark.slow
def test_forest_in_the_layout_of_s3dis(unpacked):
    classes = ("tree", "ground", "clutter")
    made = S3DIS(unpacked("forest"), test_area="Area_3", classes=classes)
    rooms = [*made.rooms("train"), *made.rooms("test")]
    room = made.read_room(rooms[-1])
    assert len(rooms) == 5 and len(room) == 456_451
    assert set(room.labels.tolist()) == {0, 1}
