from __future__ import annotations

import itertools
import struct

import numpy as np
import pytest

from pcmamba.data import ReadError, read_points
from pcmamba.data.readers.lzf import decompress

HEADER = (
    "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z rgb _ n\n"
    "SIZE 4 4 4 4 1 2\nTYPE F F F F U I\nCOUNT 1 1 1 1 3 2\nWIDTH {n}\nHEIGHT 1\n"
    "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {n}\nDATA {form}\n"
)
ROW = struct.Struct("<3fI3B2h")
POINTS = [(1.5, 2.0, 3.0, 0x00FF8001, 9, 9, 9, 4, -5), (4.0, 5.0, 6.0, 0x00010203, 9, 9, 9, 6, 7)]


def write(path, form: str, body: bytes, n: int = 2):
    path.write_bytes(HEADER.format(n=n, form=form).encode() + body)
    return path


def bodies() -> dict[str, bytes]:
    rows = [ROW.pack(*point) for point in POINTS]
    starts = [0, 4, 8, 12, 16, 19, 23]
    fields = list(itertools.pairwise(starts))
    by_field = b"".join(row[a:b] for a, b in fields for row in rows)
    packed = b"".join(bytes([len(p) - 1]) + p for p in (by_field[:32], by_field[32:]) if p)
    sizes = struct.pack("<II", len(packed), len(by_field))
    color = [struct.unpack("<f", struct.pack("<I", point[3]))[0] for point in POINTS]
    text = "".join(
        f"{p[0]} {p[1]} {p[2]} {c:.9g} 9 9 9 {p[7]} {p[8]}\n"
        for p, c in zip(POINTS, color, strict=True)
    )
    return {"ascii": text.encode(), "binary": b"".join(rows), "binary_compressed": sizes + packed}


@pytest.mark.parametrize("form", list(bodies()))
def test_all_forms_give_the_same_cloud(form, tmp_path):
    cloud = read_points(write(tmp_path / "a.pcd", form, bodies()[form]))
    assert cloud.xyz.tolist() == [[1.5, 2, 3], [4, 5, 6]]
    assert cloud.colors.tolist() == [[255, 128, 1], [1, 2, 3]]
    assert {k: v.tolist() for k, v in cloud.attributes.items()} == {"n_0": [4, 6], "n_1": [-5, 7]}


def test_holes_of_organised_clouds_are_left_out_and_counted(tmp_path):
    rows = [ROW.pack(*POINTS[0]), ROW.pack(float("nan"), *POINTS[1][1:])]
    cloud = read_points(write(tmp_path / "a.pcd", "binary", b"".join(rows)))
    assert len(cloud) == 1 and "left out 1 of 2 points, holes of the scan (NaN)" in cloud.notes


@pytest.mark.parametrize(
    ("form", "body", "n", "message"),
    [
        ("binary", b"", 10**17, r"expected 2300000000000000000 bytes for \d+ points, got 0"),
        ("binary_compressed", struct.pack("<II", 8, 46), 2, "from 8 compressed ones, got 0"),
        ("binary_compressed", struct.pack("<II", 1, 2**32 - 1), 2, "4294967295 announced"),
        ("ascii", b"1 2 3\n", 2, "POINTS announces 2 points, got 1 rows"),
        ("ascii", b"1 2 3\n1 2\n", 2, "line 13 must have 3 columns"),
        ("zip", b"", 2, "DATA must be ascii, binary or binary_compressed, got 'zip'"),
        ("binary", b"", 0, "POINTS must be at least 1"),
    ],
)
def test_what_is_wrong_is_said(form, body, n, message, tmp_path):
    with pytest.raises(ReadError, match=message):
        read_points(write(tmp_path / "a.pcd", form, body, n))


def test_copies_run_into_what_they_write():
    # "ab", then 5 bytes from two back: "ababa".
    assert decompress(bytes([1]) + b"ab" + bytes([3 << 5, 1]), 7) == b"abababa"
    for broken in (bytes([1]) + b"a", bytes([3 << 5, 1]), bytes([7 << 5]), bytes([0]) + b"a"):
        with pytest.raises(ValueError, match=r"compressed points|before the start"):
            decompress(broken, 7)


@pytest.mark.parametrize("options", [(True, False), (False, False), (False, True)])
def test_what_open3d_writes_is_read(options, tmp_path):
    o3d = pytest.importorskip("open3d")
    rng = np.random.default_rng(0)
    xyz = rng.standard_normal((300, 3)).astype(np.float32)
    colors = rng.integers(0, 256, (300, 3)).astype(np.uint8)
    made = o3d.t.geometry.PointCloud(xyz)
    made.point.colors = colors
    path = str(tmp_path / "a.pcd")
    o3d.t.io.write_point_cloud(path, made, write_ascii=options[0], compressed=options[1])
    cloud = read_points(path)
    assert np.allclose(cloud.xyz, xyz, atol=1e-5) and (cloud.colors == colors).all()
