from __future__ import annotations

import io
import struct
import sys

import numpy as np
import pytest

from pcmamba.data import PointCloud, ReadError, read_points, write_las

laspy = pytest.importorskip("laspy")


def cloud(n: int = 300) -> PointCloud:
    rng = np.random.default_rng(0)
    return PointCloud(
        rng.standard_normal((n, 3)).astype(np.float32),
        normals=rng.standard_normal((n, 3)).astype(np.float32),
        colors=rng.integers(0, 256, (n, 3)).astype(np.uint8),
        intensity=rng.random(n).astype(np.float32),
        labels=rng.integers(-1, 400, n),
        attributes={"score": rng.random(n).astype(np.float32)},
        origin=(500_000.0, 4_000_000.0, 100.0),
    )


@pytest.mark.parametrize("form", ["las", "laz"])
def test_a_cloud_comes_back_with_labels_and_scores(form, tmp_path):
    first = cloud()
    write_las(tmp_path / f"a.{form}", first)
    second = read_points(tmp_path / f"a.{form}")
    world = [c.xyz.astype(np.float64) + c.origin for c in (first, second)]
    assert np.abs(world[0] - world[1]).max() < 1e-6
    for name in ("normals", "colors", "intensity", "labels"):
        assert (getattr(first, name) == getattr(second, name)).all(), name
    assert (first.attributes["score"] == second.attributes["score"]).all()


def test_what_laspy_writes_is_read(tmp_path):
    las = laspy.create(point_format=3, file_version="1.2")
    las.header.scales, las.header.offsets = [0.001] * 3, [1e6, 2e6, 0]
    las.x, las.y, las.z = np.array([[1e6 + 1, 1e6 + 2.5], [2e6, 2e6 + 1], [5, 6]])
    las.intensity, las.classification = [7, 65535], [2, 6]
    las.red, las.green, las.blue = [255, 1], [0, 2], [9, 3]
    las.return_number = [1, 2]
    las.write(tmp_path / "a.las")
    read = read_points(tmp_path / "a.las")
    assert read.origin == (1e6 + 1, 2e6, 5) and read.xyz.tolist() == [[0, 0, 0], [1.5, 1, 1]]
    assert read.intensity.tolist() == [7, 65535] and read.labels.tolist() == [2, 6]
    assert read.colors.tolist() == [[255, 0, 9], [1, 2, 3]]
    assert "colours read as 8 bits" in read.notes
    assert read.attributes["return_number"].tolist() == [1, 2]
    turned = read_points(tmp_path / "a.las", up_axis="y").z_up()
    assert turned.origin == (5, 1e6 + 1, 2e6)


@pytest.mark.parametrize(
    ("at", "code", "value", "message"),
    [
        (100, "<I", 2**32 - 1, "expected 4294967295 records between"),
        (247, "<Q", 2**50, "points of .* bytes do not fit"),
        (96, "<I", 2**31, "expected 1 records between"),
    ],
    ids=["records", "points", "offset"],
)
def test_absurd_counts_are_refused(at, code, value, message, tmp_path):
    write_las(tmp_path / "a.las", cloud())
    data = bytearray((tmp_path / "a.las").read_bytes())
    struct.pack_into(code, data, at, value)
    (tmp_path / "a.las").write_bytes(data)
    with pytest.raises(ReadError, match=message):
        read_points(tmp_path / "a.las")


def test_without_laspy_the_package_is_named(tmp_path, monkeypatch):
    write_las(tmp_path / "a.las", cloud())
    monkeypatch.setitem(sys.modules, "laspy", None)
    with pytest.raises(ImportError, match=r"pip install 'pcmamba\[io\]'"):
        read_points(tmp_path / "a.las")
    with pytest.raises(ImportError, match=r"pip install 'pcmamba\[io\]'"):
        write_las(tmp_path / "b.las", cloud())


def test_other_content_is_refused(tmp_path):
    (tmp_path / "a.las").write_bytes(io.BytesIO(b"LASF short").getvalue())
    with pytest.raises(ReadError, match="LAS header of at least 227 bytes"):
        read_points(tmp_path / "a.las")
