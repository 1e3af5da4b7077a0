from __future__ import annotations

import pytest

from pcmamba.data import ReadError, read_points

SQUARE = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"
CORNERS = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]


@pytest.fixture
def read(tmp_path):
    def read_text(text: str):
        (tmp_path / "c.off").write_bytes(text.encode())
        return read_points(tmp_path / "c.off")

    return read_text


@pytest.mark.parametrize(
    "start",
    ["OFF\n4 1 0\n", "OFF4 1 0\n", "OFF 4 1 0\n", "OFF\r\n4 1 0\r\n", "# a\n\nOFF # b\n\n4 1\n"],
    ids=["plain", "without a blank", "one line", "windows", "comments"],
)
def test_a_polygon_becomes_a_fan(read, start):
    cloud = read(start + SQUARE + "4  0 1 2 3  255 0 0\n")
    assert cloud.xyz.tolist() == CORNERS
    assert cloud.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_no_faces(read):
    assert read("OFF\n4 0 0\n" + SQUARE).faces is None


def test_edges_and_points_give_no_triangles(read):
    cloud = read("OFF\n4 3 0\n" + SQUARE + "2 0 1\n1 3\n3 1 2 3\n")
    assert cloud.faces.tolist() == [[1, 2, 3]]


def test_colours_and_normals_of_vertices(read):
    coff = read("COFF\n1 0 0\n0 0 0 255 128 0 255\n")
    assert coff.colors.tolist() == [[255, 128, 0]]
    assert coff.attributes["alpha"].tolist() == [255]
    assert read("COFF\n1 0 0\n0 0 0 1.0 0.5 0.0\n").colors.tolist() == [[255, 128, 0]]
    assert read("NOFF\n1 0 0\n0 0 0 0 0 1\n").normals.tolist() == [[0, 0, 1]]
    both = read("CNOFF\n1 0 0\n0 0 0 0 0 1 9 8 7\n")
    assert both.normals.tolist() == [[0, 0, 1]] and both.colors.tolist() == [[9, 8, 7]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4 1 0\n", "first line OFF, COFF, NOFF or CNOFF, got '4 1 0'"),
        ("OFF BINARY\n", "got 'OFF BINARY'"),
        ("# only\n", "first line OFF, COFF, NOFF or CNOFF, got ''"),
        ("OFF\n", "expected the counts of vertices and faces, got the end"),
        ("OFF\nfour 1 0\n", "counts of vertices, faces and edges, got 'four 1 0'"),
        ("OFF\n4\n" + SQUARE, "counts of vertices, faces and edges, got '4'"),
        ("OFF\n5 0 0\n" + SQUARE, "expected 5 vertex lines and 0 face lines, got 4 lines"),
        ("OFF\n3 0 0\n" + SQUARE, "expected 3 vertex lines and 0 face lines, got 4 lines"),
        ("OFF\n0 0 0\n", "expected at least one vertex"),
        ("OFF\n4 1 0\n" + SQUARE + "3 0 1 4\n", "face corners must be in 0 … 3, got 0 to 4"),
        ("OFF\n4 1 0\n" + SQUARE + "3 0 1\n", "line 7 must be a face of its own length"),
        ("OFF\n4 1 0\n" + SQUARE + "3 0 1 2.5\n", "line 7 must be a face of whole numbers"),
        ("OFF\n4 1 0\n" + SQUARE + "3 0 1 a\n", "line 7 must be a face of whole numbers"),
        ("OFF\n4 1 0\n" + SQUARE + "3 0 1 " + "9" * 30, "face corners must be in range"),
        ("OFF\n1 0 0\n0 0 0 255 0 0\n", "expected vertices of x y z, got 6 numbers"),
        ("OFF\n2 0 0\n0 0 0\n0 0\n", "line 4 must have 3 columns as before, got 2"),
        ("OFF\n1 0 0\n0 zero 0\n", "line 3 must hold numbers, got 'zero'"),
    ],
)
def test_what_is_wrong_is_said(read, text, message):
    with pytest.raises(ReadError, match=message):
        read(text)
