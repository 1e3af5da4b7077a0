from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data import ReadError, read_points

XYZ = np.float32([[1, 2, 3], [4, 5, 6]])


@pytest.fixture
def read(tmp_path):
    def read_array(array, **options):
        np.save(tmp_path / "c.npy", array, allow_pickle=True)
        return read_points(tmp_path / "c.npy", **options)

    return read_array


@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f4", "f8", "i4", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_types_and_memory_orders(read, dtype, order):
    assert np.array_equal(read(np.asarray(XYZ, dtype, order=order)).xyz, XYZ)


def test_three_points_are_no_transposed_cloud(read):
    square = np.arange(9, dtype=np.float32).reshape(3, 3)
    assert np.array_equal(read(square).xyz, square)


def test_further_columns(read):
    room = np.array([[0, 1, 2, 255, 0, 9, 12]], np.float32)
    assert read(room).colors.tolist() == [[255, 0, 9]]
    assert read(room).labels.tolist() == [12]
    radar = read(np.array([[0, 1, 2, -3, 0.5]], np.float32))
    assert radar.attributes["column_3"].tolist() == [-3]
    assert radar.notes == ("columns read as x y z column_3 column_4",)
    named = read(np.float32([[0, 1, 2, 7, 8]]), columns=("x", "y", "z", "speed", "intensity"))
    assert named.attributes["speed"].tolist() == [7] and named.intensity.tolist() == [8]


def test_named_fields(read):
    array = np.array([(3, 2, 1, 5)], [("z", "f4"), ("y", "f8"), ("x", "i2"), ("ring", "u1")])
    cloud = read(array)
    assert cloud.xyz.tolist() == [[1, 2, 3]] and cloud.attributes["ring"].tolist() == [5]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 7)), r"points in rows \(N, 3\), got shape \(3, 7\); transpose it: array\.T"),
        (np.zeros((2, 5, 3)), r"one cloud \(N, 3\), got shape \(2, 5, 3\)"),
        (np.zeros((5, 2)), r"points in rows \(N, 3\), got shape \(5, 2\)"),
        (np.zeros(6), r"got shape \(6,\)"),
        (np.float32(1), r"got shape \(\)"),
        (np.zeros((0, 3)), r"expected at least one point, got shape \(0, 3\)"),
        (np.array([[1, 2, None]]), "expected numbers, got objects"),
        (np.zeros((2, 3), complex), "expected real numbers, got complex128"),
        (np.array([["a", "b", "c"]]), "expected real numbers, got <U1"),
        (np.zeros((2, 3), bool), "expected real numbers, got bool"),
        (np.zeros(2, [("x", "f4"), ("y", "f4")]), "expected columns x, y and z, got x, y"),
        (np.zeros(2, [("x", "f4", (2,))]), "fields of real numbers, got 'x'"),
        (np.zeros((2, 2), [("x", "f4")]), r"structured array \(N,\), got shape \(2, 2\)"),
    ],
)
def test_what_is_wrong_is_said(read, array, message):
    with pytest.raises(ReadError, match=message):
        read(array)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 3)}",
            "119999999988 bytes",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3)}", "expected -12 bytes"),
        ("{'descr': '<f4', 'fortran_order': False}", "a broken one"),
        ("{'descr': '<q9', 'fortran_order': False, 'shape': (1, 3)}", "a broken one"),
        ("((((", "a broken one"),
    ],
)
def test_a_header_that_lies_is_refused_before_memory_is_taken(tmp_path, header, message):
    text = header.encode().ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(12)
    (tmp_path / "c.npy").write_bytes(data)
    with pytest.raises(ReadError, match=message):
        read_points(tmp_path / "c.npy")
