from __future__ import annotations

import pytest

from pcmamba.data.datasets.event_files import compare_count, find_folder


def test_a_count_is_compared_with_every_official_one():
    assert compare_count("x", "train", 1077, (1176, 1077), True) == (
        "all 1,077 recordings of the official train split",
    )
    with pytest.raises(ValueError, match=r"x: train must have 1,176 or 1,077 recordings, got 3;"):
        compare_count("x", "train", 3, (1176, 1077), True)
    assert compare_count("x", "train", 3, 5, False) == ("train must have 5 recordings, got 3",)


def test_a_folder_is_found_below_the_root_but_not_if_hidden(tmp_path):
    for name in ("b", ".a"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "mark.bin").touch()
    assert find_folder(str(tmp_path), ("deep/*.bin",), "SOURCE") == tmp_path / "b"
    with pytest.raises(FileNotFoundError, match=r"root must hold other/\*.*see SOURCE"):
        find_folder(str(tmp_path), ("other/*",), "SOURCE")
    with pytest.raises(FileNotFoundError, match="root must be the folder of the data, got None"):
        find_folder(None, ("*",), "SOURCE")
