from __future__ import annotations

import pytest

from pcmamba.data.listing import last_part, natural_key, read_text_list, visible


def test_digits_sort_as_numbers():
    names = ["train10", "train2", "a", "train02", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "train02", "train2", "train10"]


def test_hidden_entries_are_left_out(tmp_path):
    for name in (".DS_Store", "b10", "b9"):
        (tmp_path / name).touch()
    assert [path.name for path in visible(tmp_path)] == ["b9", "b10"]


def test_a_list_is_read_whatever_its_line_ends(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfone\r\n\r\n  two \nthree")
    assert read_text_list(tmp_path / "list.txt") == ["one", "two", "three"]


def test_a_list_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"list\.txt must be UTF-8 text"):
        read_text_list(tmp_path / "list.txt")


@pytest.mark.parametrize("name", ["data/x/file.h5", "data\\x\\file.h5", "file.h5", "x\\y/file.h5"])
def test_only_the_last_part_counts(name):
    assert last_part(name) == "file.h5"
