from __future__ import annotations

import zipfile

import numpy as np
import pytest

from pcmamba.data import ReadError, read_points

XYZ = np.float32([[1, 2, 3], [4, 5, 6]])


@pytest.fixture
def read(tmp_path):
    def read_arrays(**arrays):
        np.savez(tmp_path / "c.npz", **arrays)
        return read_points(tmp_path / "c.npz")

    return read_arrays


@pytest.mark.parametrize("key", ["points", "xyz", "pos", "data", "Points", "anything"])
def test_the_points_are_found(read, key):
    assert np.array_equal(read(**{key: XYZ}).xyz, XYZ)


def test_the_clearest_key_wins(read):
    cloud = read(data=XYZ + 1, xyz=XYZ)
    assert np.array_equal(cloud.xyz, XYZ) and cloud.notes == ("left out 'data'",)


def test_what_lies_beside_the_points(read):
    cloud = read(
        pos=XYZ,
        normal=np.float64([[0, 0, 1], [1, 0, 0]]),
        rgb=np.float32([[0, 0.5, 1], [1, 1, 1]]),
        intensity=np.float32([5, 6]),
        labels=np.array([[3], [4]], np.uint8),
        triangles=np.array([[0, 1, 1]], np.uint16),
    )
    assert cloud.normals.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert cloud.colors.tolist() == [[0, 128, 255], [255, 255, 255]]
    assert cloud.intensity.tolist() == [5, 6]
    assert cloud.labels.tolist() == [3, 4]
    assert cloud.faces.tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("size", [1, 2])
def test_one_label_for_the_whole_cloud_is_no_label_of_points(read, size):
    cloud = read(points=XYZ[:size], label=np.int64(7))
    assert cloud.labels is None
    assert cloud.notes == ("left out 'label', one value for the whole cloud: 7",)


def test_a_key_of_its_own_replaces_a_guess(read):
    both = np.concatenate([XYZ, np.float32([[0, 0, 1], [0, 0.6, 0.8]])], axis=1)
    cloud = read(points=both, normals=np.float32([[1, 0, 0], [0, 1, 0]]))
    assert cloud.normals.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert "'normals' replaces the nx that was read before" in cloud.notes


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": XYZ, "b": XYZ}, "expected a key of points, xyz, pos, data, .*, got a, b"),
        ({}, "got no array"),
        ({"points": XYZ.T.repeat(2, axis=1)}, "transpose it"),
        ({"points": XYZ, "normals": XYZ[:1]}, r"normals must have shape \(2, 3\), got \(1, 3\)"),
        ({"points": XYZ, "labels": np.arange(3)}, r"labels must have shape \(2,\), got \(3,\)"),
        ({"points": XYZ, "labels": np.array(["a", "b"])}, "labels must be real numbers, got <U1"),
        ({"points": XYZ, "colors": np.full((2, 3), "a")}, "colors must be real numbers, got <U1"),
        ({"points": XYZ, "faces": XYZ}, r"faces must be whole numbers \(F, 3\)"),
        ({"points": XYZ, "faces": np.array([[0, 1, 2]])}, "faces must index the 2 points"),
        ({"points": np.array([[1, 2, None]])}, "expected numbers, got objects"),
    ],
)
def test_what_is_wrong_is_said(read, arrays, message):
    with pytest.raises(ReadError, match=message):
        read(**arrays)


def test_a_damaged_member_is_told(tmp_path):
    path = tmp_path / "c.npz"
    np.savez(path, points=XYZ)
    data = bytearray(path.read_bytes())
    data[data.index(XYZ.tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(ReadError, match=r"whole array in 'points\.npy', got Bad CRC"):
        read_points(path)


def test_an_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ReadError, match="got no array"):
        read_points(tmp_path / "c.npz")
    (tmp_path / "c.npz").write_text("1 2 3")
    with pytest.raises(ReadError, match="expected an npz archive, got a broken one"):
        read_points(tmp_path / "c.npz")
