"""obj and stl, and points drawn from meshes."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from pcmamba.data import PointCloud, ReadError, read_points, sample_mesh

OBJ = "# a\nmtllib m\nv 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 1 1 0 0 0 1\nv 0 1 0 1 1 1\n"


def read_text(folder, text: str, name: str = "a.obj"):
    (folder / name).write_text(text)
    return read_points(folder / name)


@pytest.mark.parametrize("face", ["f 1 2 3 4", "f 1/9 2/9 3/9 4/9", "f -4 -3 -2 -1", "f 1// 2 3 4"])
def test_obj_faces_in_every_spelling(face, tmp_path):
    cloud = read_text(tmp_path, f"{OBJ}{face}\n")
    assert cloud.xyz.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert cloud.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert cloud.colors.tolist()[0] == [255, 0, 0]


def test_obj_normals_only_where_each_vertex_has_one(tmp_path):
    normals = "vn 0 0 1\nvn 0 0 -1\n"
    one = read_text(tmp_path, f"{OBJ}{normals}f 1//1 2//1 3//1 4//-1\n")
    assert one.normals.tolist() == [[0, 0, 1]] * 3 + [[0, 0, -1]]
    two = read_text(tmp_path, f"{OBJ}{normals}f 1//1 2//1 3//1 4//1\nf 1//2 2//2 3//2\n")
    assert two.normals is None and "left out the normals: not one for each vertex" in two.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f 1 2 3\n", "at least one line 'v x y z'"),
        (OBJ + "f 1 2 5\n", "face corners must be in 0 … 3, got 0 to 4"),
        (OBJ + "f 0 1 2\n", "line 7 must hold corners that are not 0"),
        (OBJ + "f 1//3 2//3 3//3\nvn 0 0 1\n", "faces must name normals in 1 … 1"),
        ("v 0 0\n", "3, 4 or 6 numbers, got 2"),
        ("v\n", "line 1 must hold numbers after v"),
    ],
)
def test_what_is_wrong_in_obj_is_said(text, message, tmp_path):
    with pytest.raises(ReadError, match=message):
        read_text(tmp_path, text)


def stl(corners: np.ndarray, start: bytes = b"solid but binary") -> bytes:
    facets = b"".join(
        struct.pack("<3f", 0, 0, 1) + c.astype("<f4").tobytes() + b"\0\0" for c in corners
    )
    return start.ljust(80, b"\0") + struct.pack("<I", len(corners)) + facets


TWO = np.array([[[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 0, 0], [1, 1, 0], [0, 1, 0]]], float)


def test_stl_in_binary_and_text_shares_corners(tmp_path):
    (tmp_path / "b.stl").write_bytes(stl(TWO))
    facets = "".join(
        "facet normal 0 0 1\n outer loop\n"
        + "".join(f"  vertex {x} {y} {z}\n" for x, y, z in facet)
        + " endloop\nendfacet\n"
        for facet in TWO
    )
    text = read_text(tmp_path, f"solid a\n{facets}endsolid a\n", "a.stl")
    binary = read_points(tmp_path / "b.stl")
    assert text.xyz.tolist() == binary.xyz.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert text.faces.tolist() == binary.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_a_wrong_stl_count_is_refused_before_anything_is_taken(tmp_path):
    data = bytearray(stl(TWO, b""))
    data[80:84] = b"\xff" * 4
    (tmp_path / "b.stl").write_bytes(data)
    with pytest.raises(ReadError, match=r"expected 214748364834 bytes for 4294967295 triangles"):
        read_points(tmp_path / "b.stl")


def test_points_are_drawn_by_area_with_the_normals_of_the_faces():
    corners = np.array([[0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 5], [1, 0, 5], [0, 0, 5]], float)
    faces = np.array([[0, 1, 2], [3, 4, 0], [3, 5, 3]])  # areas 3, 2.5 and 0
    mesh = PointCloud(corners.astype(np.float32), faces=faces)
    drawn = sample_mesh(mesh, 20_000, seed=1)
    flat = drawn.normals[:, 2] == 1
    assert abs(flat.mean() - 3 / 5.5) < 0.02
    assert (drawn.xyz[flat, 2] == 0).all() and (drawn.xyz[~flat, 1] == 0).all()
    # The mean of uniform points of a triangle is that of its corners.
    assert np.allclose(drawn.xyz[flat].mean(axis=0), [1, 2 / 3, 0], atol=0.03)
    assert (sample_mesh(mesh, 50, seed=1).xyz == sample_mesh(mesh, 50, seed=1).xyz).all()
    assert np.isfinite(drawn.normals).all()


def test_a_cloud_without_faces_cannot_be_drawn_from(tmp_path):
    with pytest.raises(ValueError, match="must have faces to be sampled, got none"):
        sample_mesh(PointCloud(np.zeros((3, 3), np.float32)), 5)
    with pytest.raises(ValueError, match="must have faces with an area"):
        sample_mesh(PointCloud(np.zeros((3, 3), np.float32), faces=np.array([[0, 1, 2]])), 5)
    (tmp_path / "a.xyz").write_text("1 2 3")
    with pytest.raises(ReadError, match=r"a\.xyz must have faces"):
        read_points(tmp_path / "a.xyz", sample=5)


@pytest.mark.parametrize("form", ["obj", "stl", "off", "ply"])
def test_what_other_libraries_write_is_read(form, tmp_path):
    o3d = pytest.importorskip("open3d")
    sphere = o3d.geometry.TriangleMesh.create_sphere(1.0, 12)
    sphere.compute_vertex_normals()
    sphere.compute_triangle_normals()
    o3d.io.write_triangle_mesh(str(tmp_path / f"a.{form}"), sphere)
    cloud = read_points(tmp_path / f"a.{form}", sample=500)
    assert (np.linalg.norm(cloud.xyz, axis=1) > 0.96).all()
    assert ((cloud.xyz * cloud.normals).sum(axis=1) > 0.96).all()


@pytest.mark.parametrize("form", ["obj", "stl", "off", "ply"])
def test_what_trimesh_writes_is_read(form, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    box = trimesh.creation.box((1, 2, 3))
    box.export(tmp_path / f"a.{form}")
    cloud = read_points(tmp_path / f"a.{form}")
    assert len(cloud.faces) == 12 and np.ptp(cloud.xyz, axis=0).tolist() == [1, 2, 3]
