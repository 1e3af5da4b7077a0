from __future__ import annotations

import struct

import numpy as np
import pytest

from pcmamba.data import ReadError, read_points

XYZ = "property float x\nproperty float y\nproperty float z\n"
FACE = "property list uchar int vertex_indices\n"


def ply(form: str, elements: str, body: bytes | str = b"") -> bytes:
    body = body.encode() if isinstance(body, str) else body
    return f"ply\nformat {form} 1.0\n{elements}end_header\n".encode() + body


@pytest.fixture
def read(tmp_path):
    def read_bytes(data: bytes):
        (tmp_path / "c.ply").write_bytes(data)
        return read_points(tmp_path / "c.ply")

    return read_bytes


def test_ascii_with_colours_and_attributes(read):
    elements = f"element vertex 2\n{XYZ}" + "".join(
        f"property uchar {c}\n" for c in ("red", "green", "blue", "alpha")
    )
    cloud = read(ply("ascii", elements, "1 2 3 255 0 9 7\n-4 5e-1 6 1 2 3 8\n"))
    assert cloud.xyz.tolist() == [[1, 2, 3], [-4, 0.5, 6]]
    assert cloud.colors.tolist() == [[255, 0, 9], [1, 2, 3]]
    assert cloud.attributes["alpha"].tolist() == [7, 8]
    assert cloud.attributes["alpha"].dtype == np.uint8


@pytest.mark.parametrize(("form", "order"), [("little", "<"), ("big", ">")])
def test_both_byte_orders(read, form, order):
    body = struct.pack(f"{order}3fi3fi", 1, 2, 3, 70000, 4, 5, 6, -1)
    data = ply(f"binary_{form}_endian", f"element vertex 2\n{XYZ}property int label\n", body)
    cloud = read(data)
    assert cloud.xyz.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert cloud.labels.tolist() == [70000, -1]


def test_windows_line_ends_comments_and_obj_info(read):
    header = (
        "ply\r\nformat binary_little_endian 1.0\r\ncomment by hand\r\nobj_info 7\r\n"
        "element vertex 1\r\nproperty double z\r\nproperty float64 y\r\nproperty double x\r\n"
        "end_header\r\n"
    )
    cloud = read(header.encode() + struct.pack("<3d", 3, 2, 1))
    assert cloud.xyz.tolist() == [[1, 2, 3]] and cloud.xyz.dtype == np.float32


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("char", "int8"), "b"),
        (("uchar", "uint8"), "B"),
        (("short", "int16"), "h"),
        (("ushort", "uint16"), "H"),
        (("int", "int32"), "i"),
        (("uint", "uint32"), "I"),
        (("float", "float32"), "f"),
        (("double", "float64"), "d"),
    ],
)
def test_types_have_two_names(read, words, code):
    for word in words:
        elements = f"element vertex 1\n{XYZ}property {word} tag\n"
        cloud = read(ply("binary_big_endian", elements, struct.pack(f">3f{code}", 0, 0, 0, 100)))
        assert cloud.attributes["tag"].tolist() == [100]


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
def test_elements_in_any_order_and_unequal_faces(read, form):
    elements = (
        f"element face 2\n{FACE}element extra 1\nproperty short a\n"
        f"property list ushort float b\nelement vertex 4\n{XYZ}"
    )
    corners = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    if form == "ascii":
        rows = "\n".join(" ".join(map(str, row)) for row in corners)
        body = f"4 0 1 2 3\n3 2 1 0\n5 2 0.5 0.25\n{rows}\n".encode()
    else:
        body = struct.pack("<B4iB3i", 4, 0, 1, 2, 3, 3, 2, 1, 0)
        body += struct.pack("<hH2f", 5, 2, 0.5, 0.25) + np.array(corners, "<f4").tobytes()
    cloud = read(ply(form, elements, body))
    assert cloud.xyz.tolist() == corners
    assert cloud.faces.tolist() == [[0, 1, 2], [0, 2, 3], [2, 1, 0]]


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
def test_equal_faces_and_lists_of_vertices(read, form):
    elements = (
        f"element vertex 3\n{XYZ}property list uchar uchar seen\n"
        "element face 2\nproperty list uchar uint vertex_index\nproperty uchar kind\n"
    )
    if form == "ascii":
        body = b"0 0 0 0\n1 0 0 2 8 9\n0 1 0 1 4\n3 0 1 2 7\n3 0 2 1 7\n"
    else:
        body = struct.pack("<3fB", 0, 0, 0, 0) + struct.pack("<3f3B", 1, 0, 0, 2, 8, 9)
        body += struct.pack("<3f2B", 0, 1, 0, 1, 4)
        body += struct.pack("<B3IB", 3, 0, 1, 2, 7) + struct.pack("<B3IB", 3, 0, 2, 1, 7)
    cloud = read(ply(form, elements, body))
    assert cloud.xyz.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert cloud.faces.tolist() == [[0, 1, 2], [0, 2, 1]]
    assert cloud.notes == ("left out the lists of the vertices: seen",)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("float", (0.0, 0.5, 1.0), [0, 128, 255]),
        ("float", (0.0, 128.0, 255.0), [0, 128, 255]),
        ("ushort", (0, 256, 65535), [0, 1, 255]),
        ("int", (0, 1, 255), [0, 1, 255]),
    ],
)
def test_colours_of_any_type_become_bytes(read, kind, values, expected):
    names = "".join(f"property {kind} diffuse_{c}\n" for c in ("red", "green", "blue"))
    row = " ".join(map(str, values))
    cloud = read(ply("ascii", f"element vertex 1\n{XYZ}{names}", f"0 0 0 {row}"))
    assert cloud.colors.tolist() == [expected]


def test_normals_that_are_not_finite_are_left_out_and_told(read):
    names = "".join(f"property float {n}\n" for n in ("nx", "ny", "nz"))
    cloud = read(ply("ascii", f"element vertex 1\n{XYZ}{names}", "0 0 0 nan 0 1"))
    assert cloud.normals is None
    assert cloud.notes == ("left out the normals: 1 values are not finite",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"plx\n", "a header that ends with the line 'end_header'"),
        (b"ply\nelement vertex 1\nend_header\n", "the lines 'ply' and 'format …' first"),
        (ply("binary", f"element vertex 1\n{XYZ}"), "format must be one of ascii, .*got 'binary'"),
        (ply("ascii", "element vertex 1\nproperty half x\n"), "type and name, got 'half x'"),
        (ply("ascii", "element vertex -1\n"), "expected an element or a property"),
        (ply("ascii", "property float x\n"), "expected an element or a property"),
        (ply("ascii", f"element vertex 1\n{XYZ}{XYZ}"), "property of vertex must be named once"),
        (ply("ascii", "element vertex 0\nelement vertex 0\n"), "each element must be named once"),
        (ply("ascii", f"element face 1\n{FACE}", "1 0"), "expected an element 'vertex'"),
        (ply("ascii", f"element vertex 0\n{XYZ}"), "'vertex' with at least one row"),
        (ply("ascii", "element vertex 1\nproperty float x\n", "1"), "columns x, y and z, got x"),
        (ply("ascii", f"element vertex 2\n{XYZ}", "1 2 3 4 5"), "at least 6 numbers .*, got 5"),
        (ply("ascii", f"element vertex 1\n{XYZ}", "1 2 3 4"), "the last row, got 1 more numbers"),
        (ply("ascii", f"element vertex 1\n{XYZ}", "1 2 three"), "expected numbers, .*three"),
        (ply("ascii", f"element vertex 1\n{XYZ}", "1 2 " + "9" * 99), "expected numbers, got '999"),
        (
            ply("ascii", f"element vertex 1\n{XYZ}property uchar red\n", "1 2 3 256"),
            r"red must hold whole numbers in 0 … 255",
        ),
        (
            ply("binary_little_endian", f"element vertex 999999999999\n{XYZ}", b"1234"),
            "at least 11999999999988 bytes for 999999999999 rows of vertex, got 4",
        ),
        (ply("binary_little_endian", f"element vertex 1\n{XYZ}", bytes(13)), "got 1 more bytes"),
        (
            ply("ascii", f"element vertex 1\n{XYZ}element face 1\n{FACE}", "0 0 0 3 0 0 1"),
            "face corners must be in 0 … 0, got 0 to 1",
        ),
        (
            ply("ascii", f"element vertex 1\n{XYZ}element face 1\n{FACE}", "0 0 0 -3 0 0 1"),
            "got length -3",
        ),
        (
            ply("ascii", f"element vertex 1\n{XYZ}property float red\nproperty float diffuse_red\n",
                "0 0 0 1 1"),
            "columns must differ, got 'red' twice",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(read, data, message):
    with pytest.raises(ReadError, match=message):
        read(data)


def test_a_list_that_claims_more_than_the_file_holds(read):
    elements = f"element vertex 1\n{XYZ}element face 1\nproperty list uint int vertex_indices\n"
    body = struct.pack("<3fI3i", 0, 0, 0, 2**32 - 1, 0, 0, 0)
    with pytest.raises(ReadError, match="fits the 3 values left, got length 4"):
        read(ply("binary_little_endian", elements, body))


def test_columns_cannot_be_renamed(tmp_path):
    (tmp_path / "c.ply").write_bytes(ply("ascii", f"element vertex 1\n{XYZ}", "1 2 3"))
    with pytest.raises(ReadError, match="columns must be None for ply"):
        read_points(tmp_path / "c.ply", columns=("x", "y", "z"))
