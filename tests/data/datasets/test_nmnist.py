from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.datasets import NMnist


def test_a_known_file(tmp_path):
    made = NMnist.make_fake(str(tmp_path))
    path = tmp_path / "Train" / "3" / "00001.bin"
    # (x, y, p, t) = (5, 7, 1, 70000), (33, 0, 0, 90000), (200, 3, 1, 200000): the last is stray.
    words = [(5, 7, 0x80 | 1, 0x11, 0x70), (33, 0, 1, 0x5F, 0x90), (200, 3, 0x83, 0x0D, 0x40)]
    path.write_bytes(np.array(words, np.uint8).tobytes())
    train = made.load("train")
    index = train.ids.index("Train/3/00001")
    events = train.recording(index)
    assert train.labels[index] == 3 and train.resolution_hw == (34, 34)
    assert (events.x.tolist(), events.y.tolist()) == ([5, 33], [7, 0])
    assert (events.t.tolist(), events.p.tolist()) == ([0, 20000], [1, 0])
    assert any("outside the sensor" in note and "Train/3/00001" in note for note in train.notes)
    first = NMnist(str(tmp_path), first_saccade=True, strict=False).load("train")
    assert len(first.recording(index)) == 2  # at 70 and 90 ms of the file
    assert 0 < len(first.t) < len(train.t) / 2


def test_numbers_sort_as_numbers_and_either_folder_is_taken(tmp_path):
    NMnist.make_fake(str(tmp_path / "N-MNIST"))
    made = NMnist(str(tmp_path), strict=False)
    assert made.load("train").ids[:3] == ("Train/0/00000", "Train/0/00010", "Train/1/00001")
    assert made.load("test").labels.tolist() == list(range(10))
    assert (
        made.load("train").ids == NMnist(str(tmp_path / "N-MNIST"), strict=False).load("train").ids
    )


def test_what_is_wrong_is_named(tmp_path):
    made = NMnist.make_fake(str(tmp_path))
    with pytest.raises(ValueError, match=r"train must have 60,000 recordings, got 20; strict=Fal"):
        NMnist(str(tmp_path)).load("train")
    broken = tmp_path / "Test" / "4" / "00024.bin"
    broken.write_bytes(broken.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"00024\.bin: expected 5 bytes an event"):
        made.load("test")
    broken.unlink()
    with pytest.raises(ValueError, match=r"Test/4 must hold \.bin files, got none"):
        made.load("test")
    with pytest.raises(FileNotFoundError, match="root must hold Train/0"):
        NMnist(str(tmp_path / "Test")).load("train")
