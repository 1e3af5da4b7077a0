"""The loaders on real data, where they lie beside the project."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pcmamba.data.datasets import S3DIS, ModelNet40, NMnist, RadHar, ShapeNetPart
from pcmamba.data.event_faults import find_event_faults
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


def event_faults(made) -> list[str]:
    return [f.detail for f in find_event_faults(made.load) if f.verdict == "FAULT"]


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


@pytest.mark.slow
def test_nmnist(unpacked):
    made = NMnist(unpacked("nmnist"), strict=False)
    train, test = made.load("train"), made.load("test")
    assert (len(train), len(test)) == (1000, 100)
    assert (len(train.t), len(test.t)) == (4_133_231, 385_596)
    assert train.labels.bincount().tolist() == [97, 116, 99, 93, 105, 92, 94, 117, 87, 100]
    assert event_faults(made) == []


@pytest.mark.slow
def test_radhar(unpacked):
    made = RadHar(unpacked("radhar"))
    windows, notes = made.windows("test")
    assert len(windows) == 547 and len({window.recording for window in windows}) == 55
    assert len(notes) == 1 and "2 points left out" in notes[0]
    assert len(made.windows("train")[0]) == 1306
    assert event_faults(made) == []
