from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data import PointCloud, read_points, write_npz, write_ply

WRITERS = {"ply": write_ply, "npz": write_npz}


def full_cloud():
    rng = np.random.default_rng(0)
    normals = rng.standard_normal((5, 3)).astype(np.float32)
    return PointCloud(
        xyz=rng.standard_normal((5, 3)).astype(np.float32),
        normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        colors=rng.integers(0, 256, (5, 3), dtype=np.uint8),
        intensity=rng.random(5, dtype=np.float32),
        labels=np.array([0, 3, -1, 2, 70000]),
        faces=np.array([[0, 1, 2], [2, 3, 4]]),
    )


@pytest.mark.parametrize("form", WRITERS)
def test_all_fields_come_back(form, tmp_path):
    cloud = full_cloud()
    WRITERS[form](tmp_path / f"c.{form}", cloud, class_names=("chair", "flower pot"))
    read = read_points(tmp_path / f"c.{form}")
    for name in ("xyz", "normals", "colors", "intensity", "labels", "faces"):
        assert np.array_equal(getattr(read, name), getattr(cloud, name)), name


@pytest.mark.parametrize("form", WRITERS)
def test_only_the_finished_file_is_left(form, tmp_path):
    path = tmp_path / f"c.{form}"
    path.write_text("old")
    WRITERS[form](path, full_cloud())
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert len(read_points(path)) == 5


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    path.write_text("old")

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        write_npz(path, full_cloud())
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.npz"]


def test_class_names_are_stored(tmp_path):
    write_ply(tmp_path / "c.ply", full_cloud(), class_names=("chair", "flower pot"))
    assert b"comment class 1 flower pot\n" in (tmp_path / "c.ply").read_bytes()
    write_npz(tmp_path / "c.npz", full_cloud(), class_names=("chair",))
    with np.load(tmp_path / "c.npz", allow_pickle=False) as arrays:
        assert arrays["class_names"].tolist() == ["chair"]


def test_attributes_come_back_from_ply(tmp_path):
    ring = np.array([1, 2], np.int16)
    cloud = PointCloud(np.zeros((2, 3), np.float32), attributes={"ring": ring})
    write_ply(tmp_path / "c.ply", cloud)
    read = read_points(tmp_path / "c.ply").attributes["ring"]
    assert read.dtype == np.int16 and read.tolist() == [1, 2]


def test_what_a_format_cannot_hold_is_refused(tmp_path):
    xyz = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="labels must fit in 32 bits, got 4294967296"):
        write_ply(tmp_path / "c.ply", PointCloud(xyz, labels=np.array([0, 2**32])))
    with pytest.raises(ValueError, match="attributes must have a type of PLY, got 'id'"):
        write_ply(tmp_path / "c.ply", PointCloud(xyz, attributes={"id": np.zeros(2, np.int64)}))
    with pytest.raises(ValueError, match="attributes must be one number per point, got 'a b'"):
        write_ply(tmp_path / "c.ply", PointCloud(xyz, attributes={"a b": np.zeros(2)}))
    with pytest.raises(ValueError, match="class_names must be one line each"):
        write_ply(tmp_path / "c.ply", PointCloud(xyz), class_names=("a\nend_header",))
    with pytest.raises(ValueError, match=r"other names than the keys, got \['points'\]"):
        write_npz(tmp_path / "c.npz", PointCloud(xyz, attributes={"points": np.zeros(2)}))
    assert list(tmp_path.iterdir()) == []
