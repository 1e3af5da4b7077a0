"""Files that are broken or mean harm are refused: no crash, no hang, nothing taken or run."""

from __future__ import annotations

import io
import os
import pickle
import sys
import zipfile

import h5py
import numpy as np
import pytest

from pcmamba.data import ReadError, read_points
from pcmamba.data.plain_pickle import load_plain_pickle
from pcmamba.testing.fuzz import mutate, read_mutated, sample_files

FORMS = [".ply", ".npz", ".npy", ".off", ".obj", ".xyz", ".csv", ".pts", ".stl", ".pcd", ".h5"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return sample_files(tmp_path_factory.mktemp("samples"))


def test_the_samples_themselves_are_read(samples):
    for paths in samples.values():
        for path in paths:
            assert len(read_points(path)) > 0


@pytest.mark.parametrize("form", [*FORMS, ".las", ".laz"])
def test_broken_files_are_refused_with_their_name(form, samples):
    if form not in samples:
        pytest.skip("needs laspy")
    outcomes = [read_mutated(p, seed) for p in samples[form] for seed in range(120)]
    assert "refused" in outcomes


def test_a_mutation_depends_on_its_seed_alone():
    data = bytes(range(256))
    assert mutate(data, 3) == mutate(data, 3) != mutate(data, 4)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"shape": (25 << 20, 3), "fortran_order": False, "descr": "<f4"}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", header.getvalue() + bytes(300 << 20))
    assert (tmp_path / "a.npz").stat().st_size < 1 << 20
    with pytest.raises(ReadError, match="must not grow beyond 100 times"):
        read_points(tmp_path / "a.npz")


def test_hdf5_that_announces_too_much_or_points_outside_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("points", shape=(10**10, 3), dtype="f4", chunks=(1000, 3))
    with pytest.raises(ReadError, match="points must take at most"):
        read_points(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["points"] = h5py.ExternalLink("a.h5", "points")
    with pytest.raises(ReadError, match="expected a key of points"):
        read_points(tmp_path / "b.h5")


def test_hdf5_keys_are_those_of_npz(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["xyz"] = np.eye(3, dtype=np.float32)
        file["labels"], file["other"] = [1, 2, 3], [0]
    cloud = read_points(tmp_path / "a.h5")
    assert cloud.labels.tolist() == [1, 2, 3] and "left out 'other'" in cloud.notes


def test_e57_needs_its_package_and_its_magic(tmp_path, monkeypatch):
    (tmp_path / "a.e57").write_bytes(b"ASTM-E57" + bytes(64))
    monkeypatch.setitem(sys.modules, "pye57", None)
    with pytest.raises(ImportError, match="e57 files need pye57: pip install pye57"):
        read_points(tmp_path / "a.e57")
    (tmp_path / "b.e57").write_bytes(b"something else")
    with pytest.raises(ReadError, match="expected ASTM-E57 first"):
        read_points(tmp_path / "b.e57")


class Harmful:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return (os.system, (self.command,))


def test_a_harmful_pickle_is_refused_and_not_run(tmp_path):
    mark = tmp_path / "was run"
    for thing in (Harmful(f"touch '{mark}'"), [1, {"a": Harmful(f"touch '{mark}'")}]):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(thing))
        with pytest.raises(ValueError, match=r"a\.pkl must be a pickle of plain arrays.*run code"):
            load_plain_pickle(tmp_path / "a.pkl")
    assert not mark.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_come_back(protocol, tmp_path):
    value = {"a": [(np.arange(6.0).reshape(2, 3), np.int64(3), "x")], "b": np.ones(2, ">f4")}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
    back = load_plain_pickle(tmp_path / "a.pkl")
    assert (back["a"][0][0] == value["a"][0][0]).all() and back["a"][0][1:] == (3, "x")
    assert back["b"].tolist() == [1, 1]


def nested() -> list:
    lists: list = [0]
    for _ in range(60):
        lists = [lists, lists]
    return lists


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(np.array([{}], dtype=object)),
        pickle.dumps(nested()),
        pickle.dumps({1, 2}),
        b"\x80\x05\x96" + (2**50).to_bytes(8, "little") + b"abc",
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"nonsense",
        b"",
    ],
    ids=["objects", "lists without end", "set", "huge bytes", "huge memo", "nonsense", "empty"],
)
def test_other_pickles_are_refused(data, tmp_path):
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(ValueError, match="must be a pickle of plain arrays"):
        load_plain_pickle(tmp_path / "a.pkl")
