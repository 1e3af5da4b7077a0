from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pcmamba.data
from pcmamba.data import PointCloud, ReadError, read_points, write_npz, write_ply
from pcmamba.data.readers import READERS

FORMS = ("ply", "npy", "npz", "off", "xyz", "txt", "csv", "pts")


def write(path, xyz):
    """Store points in the form that the extension of `path` names."""
    rows = [" ".join(f"{value:.9g}" for value in row) for row in xyz]
    text = "\n".join(rows) + "\n"
    match path.suffix:
        case ".ply":
            write_ply(path, PointCloud(xyz))
        case ".npz":
            write_npz(path, PointCloud(xyz))
        case ".npy":
            np.save(path, xyz)
        case ".off":
            path.write_text(f"OFF\n{len(xyz)} 0 0\n{text}")
        case ".csv":
            path.write_text("x,y,z\n" + text.replace(" ", ","))
        case ".pts":
            path.write_text(f"{len(xyz)}\n{text}")
        case _:
            path.write_text(text)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_points_come_back_bit_for_bit(form, tmp_path):
    rng = np.random.default_rng(0)
    xyz = rng.standard_normal((1024, 3)).astype(np.float32)
    xyz[:4] *= np.float32([[1e-30], [1e-6], [1e3], [1e6]])
    write(tmp_path / f"c.{form}", xyz)
    read = read_points(tmp_path / f"c.{form}")
    assert read.xyz.dtype == np.float32
    assert np.array_equal(read.xyz.view(np.uint32), xyz.view(np.uint32))
    assert read.source == str(tmp_path / f"c.{form}")


finite = st.floats(-1e6, 1e6, width=32)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=5))
def test_any_points_survive_every_text_form(rows, tmp_path):
    xyz = np.array(rows, np.float32)
    for form in ("xyz", "csv", "off", "pts", "ply"):
        write(tmp_path / f"c.{form}", xyz)
        try:
            read = read_points(tmp_path / f"c.{form}").xyz
        except ReadError as error:
            # The only reason there may be: the cloud is a speck far from zero.
            assert "keep their shape in float32" in str(error)
            continue
        assert np.array_equal(read, xyz)


def test_extensions_may_be_capitals(tmp_path):
    np.save(tmp_path / "c.npy", np.zeros((2, 3), np.float32))
    (tmp_path / "c.npy").rename(tmp_path / "C.NPY")
    assert len(read_points(tmp_path / "C.NPY")) == 2
    assert len(read_points(str(tmp_path / "C.NPY"))) == 2


def test_the_up_axis_is_recorded_and_nothing_turned(tmp_path):
    write(tmp_path / "c.npy", np.float32([[1, 2, 3]]))
    cloud = read_points(tmp_path / "c.npy", up_axis="y")
    assert cloud.up_axis == "y" and cloud.xyz.tolist() == [[1, 2, 3]]
    assert read_points(tmp_path / "c.npy").up_axis is None
    with pytest.raises(ValueError, match="up_axis must be x, y or z, got 'h'"):
        read_points(tmp_path / "c.npy", up_axis="h")


def test_read_points_is_public():
    assert pcmamba.data.read_points is read_points


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path must be an existing file, got .*none\.ply"):
        read_points(tmp_path / "none.ply")


@pytest.mark.parametrize("name", ["c.doc", "c", "c.ply.gz"])
def test_an_unknown_extension_lists_the_known_ones(name, tmp_path):
    (tmp_path / name).write_text("1 2 3")
    with pytest.raises(ReadError, match=r"extension must be one of \.csv, \.e57, .*\.xyz, got"):
        read_points(tmp_path / name)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content", [b"", b" \n\n"], ids=["nothing", "blanks"])
def test_an_empty_file_is_told(form, content, tmp_path):
    (tmp_path / f"c.{form}").write_bytes(content)
    with pytest.raises(ReadError, match=rf"c\.{form}: expected points, got an empty file"):
        read_points(tmp_path / f"c.{form}")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "c.ply").mkdir()
    with pytest.raises(ReadError, match=r"c\.ply: "):
        read_points(tmp_path / "c.ply")


@pytest.mark.parametrize("form", ["ply", "npy", "npz"])
def test_a_wrong_extension_is_told(form, tmp_path):
    write(tmp_path / f"c.{form}", np.zeros((2, 3), np.float32))
    (tmp_path / f"c.{form}").rename(tmp_path / "c.txt")
    with pytest.raises(ReadError, match=rf"expected txt, got the content of a \.{form} file"):
        read_points(tmp_path / "c.txt")


@pytest.mark.parametrize("form", FORMS)
def test_points_that_are_not_finite_are_counted(form, tmp_path):
    xyz = np.arange(12, dtype=np.float32).reshape(4, 3)
    broken = xyz.copy()
    broken[1, 2], broken[3, 0] = np.nan, np.inf
    (tmp_path / f"c.{form}").unlink(missing_ok=True)
    raw_write(tmp_path / f"c.{form}", broken)
    with pytest.raises(
        ReadError, match="got 2 of 4 points with NaN or infinite ones; drop_invalid"
    ):
        read_points(tmp_path / f"c.{form}")
    cloud = read_points(tmp_path / f"c.{form}", drop_invalid=True)
    assert np.array_equal(cloud.xyz, xyz[[0, 2]])
    assert "dropped 2 of 4 points, not finite" in cloud.notes


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_nan_is_refused(form, tmp_path):
    raw_write(tmp_path / f"c.{form}", np.full((4, 3), np.nan, np.float32))
    for drop in (False, True):
        with pytest.raises(ReadError, match="expected finite coordinates, got none in 4 points"):
            read_points(tmp_path / f"c.{form}", drop_invalid=drop)


def raw_write(path, xyz):
    """Store points that no `PointCloud` may hold."""
    if path.suffix == ".ply":
        properties = "".join(f"property float {axis}\n" for axis in "xyz")
        header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(xyz)}\n{properties}"
        path.write_bytes(f"{header}end_header\n".encode() + xyz.astype("<f4").tobytes())
    elif path.suffix == ".npz":
        np.savez(path, points=xyz)
    else:
        write(path, xyz)


def test_dropping_points_drops_their_values_and_the_faces(tmp_path):
    text = "ply\nformat ascii 1.0\nelement vertex 3\n"
    text += "".join(f"property float {name}\n" for name in ("x", "y", "z", "intensity"))
    text += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "c.ply").write_text(text + "0 0 0 7\nnan 0 0 8\n1 1 1 9\n3 0 1 2\n")
    cloud = read_points(tmp_path / "c.ply", drop_invalid=True)
    assert cloud.intensity.tolist() == [7, 9] and cloud.faces is None
    assert "dropped the faces with them" in cloud.notes


def test_coordinates_that_float32_would_destroy_are_refused(tmp_path):
    (tmp_path / "c.xyz").write_text("5000000 0 0\n5000000.5 0.5 0.25\n")
    with pytest.raises(
        ReadError, match=r"extent of 0.5 at a distance of 5e\+06 .*subtract an origin"
    ):
        read_points(tmp_path / "c.xyz")


def test_an_absurd_extent_is_refused(tmp_path):
    (tmp_path / "c.xyz").write_text("0 0 0\n1e8 0 0\n")
    with pytest.raises(ReadError, match=r"extent must be at most 1e\+07, got 1e\+08"):
        read_points(tmp_path / "c.xyz")


def test_broken_files_give_one_kind_of_error(tmp_path):
    """Cut, flip and invent bytes: every file is read or refused with a `ReadError` naming it."""
    rng = np.random.default_rng(0)
    refused = 0
    for form in FORMS:
        path = tmp_path / f"whole.{form}"
        write(path, rng.standard_normal((9, 3)).astype(np.float32))
        valid = path.read_bytes()
        for trial in range(60):
            broken = tmp_path / f"broken.{form}"
            broken.write_bytes(spoil(valid, trial, rng))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    read_points(broken)
            except ReadError as error:
                assert str(error).startswith(str(broken))
                assert "\n" not in str(error)
                refused += 1
    assert refused > 200


def spoil(valid: bytes, trial: int, rng: np.random.Generator) -> bytes:
    data = bytearray(valid)
    if trial % 3 == 0:
        return bytes(data[: rng.integers(len(data))])
    if trial % 3 == 1:
        for place in rng.integers(0, len(data), 1 + trial % 7):
            data[place] = rng.integers(256)
        return bytes(data)
    return rng.integers(0, 256, rng.integers(1, 300), dtype=np.uint8).tobytes()


@pytest.mark.parametrize("form", ["ply", "npy", "npz", "off", "pts"])
def test_every_truncation_is_noticed(form, tmp_path):
    path = tmp_path / f"c.{form}"
    write(path, np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32))
    valid = path.read_bytes()
    # A text whose last number lost its last digits is still a text of numbers.
    most = len(valid) if form in ("ply", "npy", "npz") else valid.rstrip().rindex(b" ")
    for size in range(most):
        path.write_bytes(valid[:size])
        with pytest.raises(ReadError):
            read_points(path)


def test_the_registry_reads_bytes_alone():
    buffer = io.BytesIO()
    np.save(buffer, np.float32([[1, 2, 3]]))
    raw = READERS[".npy"](buffer.getvalue(), None)
    assert {name: values.tolist() for name, values in raw.columns.items()} == {
        "x": [1],
        "y": [2],
        "z": [3],
    }


def test_a_folder_is_told_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="path must be a file, got a folder; name the files in it"):
        read_points(tmp_path)
