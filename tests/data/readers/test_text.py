from __future__ import annotations

import pytest

from pcmamba.data import ReadError, read_points


@pytest.fixture
def read(tmp_path):
    def read_text(text: str | bytes, name: str = "c.txt", **options):
        data = text.encode() if isinstance(text, str) else text
        (tmp_path / name).write_bytes(data)
        return read_points(tmp_path / name, **options)

    return read_text


@pytest.mark.parametrize(
    "text",
    [
        "1 2 3\n4 5 6.5\n",
        "1,2,3\n4,5,6.5",
        "1, 2, 3\n4, 5, 6.5",
        "1;2;3\r\n4;5;6.5\r\n",
        "1\t2\t3\r4\t5\t6.5\r",
        "  1   2  3 \n\n\n4 5 6.5",
        "# made by hand\n1 2 3\n// more\n4 5 6.5",
        "\ufeff1 2 3\n4 5 6.5",
        "x y z\n1 2 3\n4 5 6.5",
        "//X Y Z\n1 2 3\n4 5 6.5",
        '"x","y","z"\n1,2,3\n4,5,6.5',
        "x;z;y\n1;3;2\n4;6.5;5",
    ],
)
def test_separators_headers_and_comments(read, text):
    cloud = read(text)
    assert cloud.xyz.tolist() == [[1, 2, 3], [4, 5, 6.5]]
    assert cloud.notes == ()


def test_four_columns_have_an_intensity(read):
    cloud = read("1 2 3 0.5\n")
    assert cloud.intensity.tolist() == [0.5]
    assert cloud.notes == ("columns read as x y z intensity",)


def test_six_columns_are_colours_if_whole_bytes_or_else_normals(read):
    assert read("1 2 3 255 0 7\n").colors.tolist() == [[255, 0, 7]]
    cloud = read("1 2 3 0 0 1\n1 2 3 0.6 0 0.8\n")
    assert cloud.colors is None and cloud.normals[0].tolist() == [0, 0, 1]
    assert cloud.notes == ("columns read as x y z nx ny nz",)
    assert read("1 2 3 256 0 7\n").colors is None


def test_seven_columns(read):
    labelled = read("1 2 3 255 0 7 11\n")
    assert labelled.colors.tolist() == [[255, 0, 7]] and labelled.labels.tolist() == [11]
    lit = read("1 2 3 0.5 255 0 7\n")
    assert lit.colors.tolist() == [[255, 0, 7]] and lit.intensity.tolist() == [0.5]
    part = read("1 2 3 0 0.6 0.8 49.000000\n")
    assert part.labels.tolist() == [49] and part.normals is not None
    pts = read("1 2 3 10 255 0 7\n", "c.pts")
    assert pts.intensity.tolist() == [10] and pts.colors.tolist() == [[255, 0, 7]]


def test_a_header_names_the_columns(read):
    cloud = read("x,y,z,Ring,class\n1,2,3,8,4\n", "c.csv")
    assert cloud.attributes["Ring"].tolist() == [8] and cloud.labels.tolist() == [4]


def test_given_columns_override_every_guess(read):
    cloud = read("9 1 2 3 255 0 7\n", columns=("time", "x", "y", "z", "r", "g", "b"))
    assert cloud.xyz.tolist() == [[1, 2, 3]] and cloud.colors.tolist() == [[255, 0, 7]]
    assert cloud.attributes["time"].tolist() == [9]
    named = read("a b c\n1 2 3\n", columns=("z", "y", "x"))
    assert named.xyz.tolist() == [[3, 2, 1]]


def test_pts_may_start_with_a_count(read):
    assert len(read("2\n1 2 3\n4 5 6\n", "c.pts")) == 2
    assert len(read("1 2 3\n4 5 6\n", "c.pts")) == 2
    with pytest.raises(ReadError, match="line 1 announces 3 points, got 2 rows"):
        read("3\n1 2 3\n4 5 6\n", "c.pts")


@pytest.mark.parametrize("text", ["1,5 2,5 3,5\n", "1,5;2,5;3,5\n", "1,5\t2\t3\n", "0;1;-,25e3\n"])
def test_decimal_commas_are_refused(read, text):
    with pytest.raises(ReadError, match="line 1 must have decimal points, got decimal commas"):
        read(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n", "must have 3, 4, 6 or 7 columns, got 2; give columns="),
        ("1 2 3 4 5\n", "got 5; give columns="),
        ("1 2 3 0.5 0.5 0.5 0.5\n", "got 7; give columns="),
        ("1 2 3\n4 5\n", "line 2 must have 3 columns as before, got 2"),
        ("1 2 3\n\n4 five 6\n", "line 3 must hold numbers, got 'five'"),
        ("1 2 3\n4 0x5 6\n", "line 2 must hold numbers, got '0x5'"),
        ("1 2 3\n4 5_0 6\n", "line 2 must hold numbers, got '5_0'"),
        ("1,2,3\n4,,6\n", "line 2 must hold numbers, got ''"),
        ("# nothing\n", "expected at least one row of numbers, got none"),
        ("just a note\n", "expected at least one row of numbers, got none"),
        ("a b c\n1 2 3\n", "the header must name x, y and z, got 'a b c'"),
        ("x y z\n1 2 3 4\n", "the header names 3 columns, got rows of 4"),
        ("x y z x\n1 2 3 4\n", "columns must differ, got 'x' twice"),
        ("x y z label\n1 2 3 0.5\n", "labels must be whole numbers"),
        ("x y z r g b\n1 2 3 300 0 0\n", "colours must be at most 255, got 300"),
        ("x y z r g b\n1 2 3 -1 0 0\n", "colours must be finite and at least 0"),
        (b"1 2 \xff\n", "expected UTF-8 text, got .* at byte 4"),
        (b"1 2 3\n\x00", "expected text, got a zero byte at 6"),
    ],
)
def test_what_is_wrong_is_said(read, text, message):
    with pytest.raises(ReadError, match=message):
        read(text)


def test_given_columns_must_fit(read):
    with pytest.raises(ReadError, match="columns must name the 3 columns, got 2: x, y"):
        read("1 2 3\n", columns=("x", "y"))
    with pytest.raises(ReadError, match="expected columns x, y and z, got x, y, height"):
        read("1 2 3\n", columns=("x", "y", "height"))
