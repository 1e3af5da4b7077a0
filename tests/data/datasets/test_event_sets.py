"""What is particular to each event set; that all load their fakes is tested elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pcmamba.data.datasets import HARDVS, PAF, Cifar10Dvs, EFAction, NCaltech101, SeAct
from pcmamba.data.datasets.fake_events import write_aedat2


def test_paf_has_rows_downwards_and_can_have_the_other_reading(tmp_path):
    PAF.make_fake(str(tmp_path))
    path = tmp_path / "waving" / "3_9.1.aedat"
    # Raw column 10, row 20, polarity 1; then a word of a frame (bit 31), which is no event.
    words = np.array([20 << 22 | 10 << 12 | 1 << 11, 1 << 31 | 5 << 12, 259 << 22 | 345 << 12])
    write_aedat2(path, words, np.array([1000, 1500, 3000]), "DAVIS346redColor")

    def read(**options):
        for split in ("train", "test"):
            made = PAF(str(tmp_path), strict=False, **options).load(split)
            if "waving/3_9.1" in made.ids:
                index = made.ids.index("waving/3_9.1")
                return made.recording(index), made.groups[index], int(made.labels[index])
        raise AssertionError("not in either split")

    events, person, label = read()
    assert (person, label) == ("3", 9)
    assert (events.x.tolist(), events.y.tolist()) == ([335, 0], [239, 0])
    assert (events.p.tolist(), events.t.tolist()) == ([1, 0], [0, 2000])
    other = read(raw_y=True, invert_polarity=True)[0]
    assert (other.y.tolist(), other.p.tolist()) == ([20, 259], [0, 1])


def test_paf_takes_numbered_folders_and_refuses_other_names(tmp_path):
    PAF.make_fake(str(tmp_path / "PAF"))
    folders = sorted((tmp_path / "PAF").iterdir())
    for number, folder in enumerate(folders, start=1):
        folder.rename(folder.with_name(str(number)))
    made = PAF(str(tmp_path), strict=False)
    assert made.load("train").class_names[0] == "arm crossing"
    assert all(
        int(name.split("/")[0]) == label + 1
        for name, label in zip(made.load("train").ids, made.load("train").labels, strict=True)
    )
    with pytest.raises(ValueError, match="must have 450 or 293 recordings, got 50"):
        PAF(str(tmp_path)).load("train")
    (tmp_path / "PAF" / "4" / "walk.aedat").touch()
    with pytest.raises(ValueError, match=r"walk\.aedat must be named <subject>_<class>"):
        made.load("train")


def test_hardvs_lists_end_in_crlf_and_without_an_end(tmp_path):
    made = HARDVS.make_fake(str(tmp_path))
    assert (tmp_path / "train_label.txt").read_bytes().count(b"\r\n") == 7
    train, test, val = (made.load(split) for split in ("train", "test", "val"))
    assert (len(train), len(test), len(val)) == (8, 4, 4)
    assert test.labels.tolist() == [0, 1, 2, 3] and len(test.class_names) == 300
    assert train.ids[-1] == "action_004/dvSave-2021_09_04_10_00_01"
    events = test.recording(2)
    assert events.resolution_hw == (260, 346) and events.t0 == 77 and events.x.max() > 260 / 2
    with pytest.raises(ValueError, match="train must have 64,526 recordings, got 8"):
        HARDVS(str(tmp_path)).load("train")


def test_hardvs_names_what_is_wrong(tmp_path, monkeypatch):
    made = HARDVS.make_fake(str(tmp_path))
    path = tmp_path / "test_label.txt"
    text = path.read_text()
    for wrong, said in [
        (text.replace(" 3", " 4"), "label must be the folder's number less 1"),
        (text.replace(" 8 3", " 3"), "a line must be 'action_NNN/name frames label'"),
        (text + "\n" + text, "clips must be listed once, got 4"),
    ]:
        path.write_text(wrong)
        with pytest.raises(ValueError, match=said):
            made.load("test")
    path.write_text(text)
    next((tmp_path / "MINI_HARDVS_files" / "action_002").glob("*_03.npz")).unlink()
    assert "1 clips of the list are missing" in "\n".join(made.load("test").notes)
    assert made.load("test").labels.tolist() == [0, 2, 3]
    monkeypatch.setattr("pcmamba.data.datasets.hardvs.COUNTS", {"train": 8, "val": 4, "test": 4})
    with pytest.raises(FileNotFoundError, match="1 clips of the list are missing, first action_0"):
        HARDVS(str(tmp_path)).load("test")


def test_a_clip_with_exchanged_axes_is_refused_not_wrapped(tmp_path):
    made = HARDVS.make_fake(str(tmp_path))
    path = next((tmp_path / "MINI_HARDVS_files" / "action_001").glob("*_03.npz"))
    with np.load(path) as file:
        columns = {name: file[name] for name in file}
    columns["x"] = np.full_like(columns["x"], 340)
    columns["x"], columns["y"] = columns["y"], columns["x"]
    np.savez(path, **columns)
    with pytest.raises(ValueError, match="events must be inside the sensor of 346 x 260"):
        made.load("test").recording(0)


def test_seact_ranks_numbers_that_are_not_contiguous(tmp_path):
    made = SeAct.make_fake(str(tmp_path))
    train, test = made.load("train"), made.load("test")
    assert train.class_names == tuple(f"doing {n}" for n in (0, 2, 10, 1000, 2003))
    for name, label in zip(train.ids, train.labels.tolist(), strict=True):
        assert int(name.split("/")[1][:4]) == (0, 2, 10, 1000, 2003)[label]
    assert not set(train.groups) & set(test.groups) and len(test) == 5
    names = json.loads((tmp_path / "SeAct.json").read_text())
    del names["doing 10"]
    (tmp_path / "SeAct.json").write_text(json.dumps({v: k for k, v in names.items()}))
    with pytest.raises(ValueError, match="must name every class, got none for 0010"):
        made.load("train")
    (tmp_path / "SeAct.json").unlink()
    assert made.load("train").class_names == ("0000", "0002", "0010", "1000", "2003")


def test_efaction_takes_any_classes_and_lists(tmp_path):
    made = EFAction.make_fake(str(tmp_path))
    assert made.load("train").class_names == ("003", "019", "020")
    assert made.load("test").labels.tolist() == [0, 1, 2]
    (tmp_path / "train.txt").write_text("019/19-s-b-1/19-s-b-1.npz 1\n3-s-b-0 0")
    (tmp_path / "test.txt").write_text("20-s-b-3.npz 2")
    listed = EFAction(str(tmp_path), train_list="train.txt", test_list="test.txt")
    assert listed.load("train").ids == ("019/19-s-b-1", "003/3-s-b-0")
    assert listed.load("test").labels.tolist() == [2]


def test_ncaltech101_keeps_coordinates_and_passes_annotations_over(tmp_path):
    made = NCaltech101.make_fake(str(tmp_path))
    train, test = made.load("train"), made.load("test")
    assert train.class_names == ("BACKGROUND_Google", "Faces_easy", "accordion")
    assert (len(train), len(test)) == (9, 3)
    assert all("/image_" in name for name in train.ids + test.ids)
    assert train.recording(0).resolution_hw == (180, 240) == train.resolution_hw
    cropped = NCaltech101(str(tmp_path), strict=False, crop=True).load("train")
    for i in range(9):
        events, moved = train.recording(i), cropped.recording(i)
        assert moved.x.min() == moved.y.min() == 0
        assert (events.x - events.x.min() == moved.x).all() and moved.x.dtype == np.int16
    with pytest.raises(ValueError, match="the set must have 8,709 recordings, got 12"):
        NCaltech101(str(tmp_path)).load("train")


def test_cifar10_dvs_sorts_by_number_and_turns_the_picture(tmp_path):
    made = Cifar10Dvs.make_fake(str(tmp_path))
    test = made.load("test")
    assert test.ids[0] == "airplane/cifar10_airplane_10"  # not ..._2, which is last as text
    assert len(made.load("train")) == 20
    path = tmp_path / "airplane" / "cifar10_airplane_10.aedat"
    # Raw column 10, row 20, raw polarity 0, which is brighter.
    write_aedat2(
        path, np.array([20 << 8 | 10 << 1, 1 << 8 | 2 << 1 | 1]), np.array([5, 9]), "DVS128"
    )
    events = test.recording(0)
    assert (events.x.tolist(), events.y.tolist()) == ([107, 126], [117, 125])
    assert events.p.tolist() == [1, 0]
    drawn = [Cifar10Dvs(str(tmp_path), "random", s, strict=False).load("test").ids for s in (0, 1)]
    assert drawn[0] != drawn[1] and len(drawn[0]) == 10
    with pytest.raises(ValueError, match="split_by must be 'first' or 'random'"):
        Cifar10Dvs(split_by="last")
