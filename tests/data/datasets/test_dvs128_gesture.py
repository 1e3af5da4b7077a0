from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.datasets import DVS128Gesture
from pcmamba.data.datasets.fake_events import write_aedat3
from pcmamba.data.events import Events

HEAD = "class,startTime_usec,endTime_usec\n"


def trial(folder, name: str, times: list[int], rows: str) -> None:
    """Write a trial whose event k is at pixel (k, 0) and time k of `times`."""
    size = len(times)
    events = Events.from_arrays(
        np.arange(size), np.zeros(size, int), np.array(times) - times[0], np.ones(size, int),
        (128, 128),
    )  # fmt: skip
    object.__setattr__(events, "t", np.array(times))
    write_aedat3(folder / f"{name}.aedat", events, "DVS128")
    (folder / f"{name}_labels.csv").write_text(HEAD + rows)


@pytest.fixture
def folder(tmp_path):
    DVS128Gesture.make_fake(str(tmp_path))
    return tmp_path / "DvsGesture"


def load(folder, split: str = "train", **options):
    return DVS128Gesture(str(folder), strict=False, **options).load(split)


def test_rows_are_cut_by_the_clock_of_the_trial_even_where_they_overlap(folder):
    # As in user22_led: the end of one lies behind the start of the next.
    rows = "9,5000,8000\r\n10,7000,9001\r\n\r\n"
    trial(folder, "user22_fluorescent_led", [5000, 6000, 7000, 8000, 9000, 9001], rows)
    made = load(folder)
    mine = [i for i, name in enumerate(made.ids) if name.startswith("user22")]
    assert [made.ids[i] for i in mine] == [f"user22_fluorescent_led/{n:02d}" for n in (0, 1)]
    assert made.labels[mine].tolist() == [8, 9]  # class - 1
    first, second = (made.recording(i) for i in mine)
    assert first.x.tolist() == [0, 1, 2] and second.x.tolist() == [2, 3, 4]
    assert first.t.tolist() == [0, 1000, 2000] and second.t.tolist() == [0, 1000, 2000]
    assert any("overlap in user22_fluorescent_led" in note for note in made.notes)


def test_people_are_named_before_the_first_underscore(folder):
    made = load(folder)
    assert set(made.groups) == {"user01", "user22"}
    assert set(load(folder, "test").groups) == {"user24"}
    assert len(made) == 22 and made.labels.bincount().tolist() == [2] * 11


def test_other_gestures_may_be_left_out(folder):
    made = load(folder, classes=10)
    assert len(made.class_names) == 10 and made.labels.max() == 9 and len(made) == 20
    assert "2 of other gestures left out" in made.notes
    with pytest.raises(ValueError, match="classes must be 10 or 11, got 9"):
        DVS128Gesture(classes=9)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0,5,6\n", r"line 2 must have a class of 1 to 11"),
        ("12,5,6\n", r"line 2 must have a class of 1 to 11"),
        ("1,5,6\n2,7,7\n", r"line 3 must have .* start before end"),
        ("1,5\n", r"line 2 must be class,start,end"),
        ("1,5,6.5\n", r"line 2 must be class,start,end"),
    ],
)
def test_a_wrong_row_is_named(folder, rows, said):
    (folder / "user01_lab_labels.csv").write_text(HEAD + rows)
    with pytest.raises(ValueError, match=rf"user01_lab_labels\.csv: {said}"):
        load(folder)


def test_counts_and_missing_files(folder):
    with pytest.raises(ValueError, match="train must have 1,176 or 1,077 recordings, got 22"):
        DVS128Gesture(str(folder)).load("train")
    (folder / "user01_lab_labels.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"user01_lab_labels\.csv must lie beside"):
        load(folder)


def test_the_repacked_form(tmp_path):
    for split, person in (("Train", "user02_led"), ("Test", "user29_lab")):
        folder = tmp_path / f"ibmGesture{split}" / person
        folder.mkdir(parents=True)
        for label in (0, 10):
            rows = np.array([[3, 4, 1, 20], [5, 6, 0, 30]], float)  # x, y, p, ms
            np.save(folder / f"{label}.npy", rows)
    made = load(tmp_path)
    assert made.labels.tolist() == [0, 10] and made.groups == ("user02", "user02")
    events = made.recording(1)
    assert (events.x.tolist(), events.y.tolist()) == ([3, 5], [4, 6])
    assert (events.p.tolist(), events.t.tolist()) == ([1, 0], [0, 10_000])
    assert load(tmp_path, "test").ids == ("user29_lab/0", "user29_lab/10")
