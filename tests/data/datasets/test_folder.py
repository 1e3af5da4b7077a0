from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcmamba.data import ReadError
from pcmamba.data.datasets import Folder


def save(root: Path, name: str, size: int = 6, seed: int = 0) -> np.ndarray:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    xyz = np.random.default_rng([seed, size]).standard_normal((size, 3)).astype(np.float32)
    np.save(path, xyz)
    return xyz


@pytest.fixture
def ten(tmp_path):
    """Two classes of ten files of six points."""
    for kind in ("mug", "cup"):
        for number in range(10):
            save(tmp_path, f"{kind}/{number}.npy", seed=number)
    return tmp_path


def test_a_split_is_stratified_seeded_and_complete(ten):
    made = Folder(str(ten), num_points=6, test_fraction=0.3)
    train, test = made.load("train"), made.load("test")
    assert train.class_names == ("cup", "mug")
    assert train.labels.bincount().tolist() == [7, 7] and test.labels.bincount().tolist() == [3, 3]
    assert len({*train.ids, *test.ids}) == 20
    assert made.load("test").ids == test.ids
    assert Folder(str(ten), num_points=6, test_fraction=0.3, seed=1).load("test").ids != test.ids
    assert "split drawn with seed 0" in train.notes


def test_another_class_does_not_change_the_split(ten):
    before = Folder(str(ten), num_points=6).load("test").ids
    for number in range(3):
        save(ten, f"bowl/{number}.npy", seed=20 + number)
    after = Folder(str(ten), num_points=6).load("test").ids
    assert [name for name in after if not name.startswith("bowl")] == list(before)


def test_small_classes_keep_a_file_on_either_side(tmp_path):
    for name in ("two/a.npy", "two/b.npy", "one/a.npy"):
        save(tmp_path, name)
    made = Folder(str(tmp_path), num_points=6)
    assert made.load("train").labels.bincount().tolist() == [1, 1]
    assert made.load("test").labels.tolist() == [1]


def test_one_file_a_class_leaves_nothing_to_test(tmp_path):
    save(tmp_path, "one/a.npy")
    with pytest.raises(ValueError, match="test must have files, got one file in each class"):
        Folder(str(tmp_path)).load("test")


def test_folders_train_and_test_are_the_split(tmp_path):
    for name in ("train/mug/1.npy", "train/cup/1.npy", "test/mug/1.npy", "notes/x/1.npy"):
        save(tmp_path, name, seed=len(name))
    made = Folder(str(tmp_path), num_points=6)
    assert made.load("train").ids == ("train/cup/1.npy", "train/mug/1.npy")
    test = made.load("test")
    assert test.ids == ("test/mug/1.npy",) and test.labels.tolist() == [1]
    assert "passed over notes" in test.notes
    assert any(line == "test: no clouds of cup" for line in made.check())


def test_a_class_that_was_never_trained_is_refused(tmp_path):
    for name in ("train/mug/1.npy", "test/cup/1.npy"):
        save(tmp_path, name)
    with pytest.raises(ValueError, match="train must have every class of test, got no 'cup'"):
        Folder(str(tmp_path)).load("test")


def test_half_a_split_is_refused(tmp_path):
    save(tmp_path, "train/mug/1.npy")
    with pytest.raises(FileNotFoundError, match="test must lie beside the other split"):
        Folder(str(tmp_path)).load("train")


def test_points_are_kept_drawn_or_repeated(tmp_path):
    clouds = {n: save(tmp_path, f"mug/{n}.npy", size=n) for n in (4, 6, 9)}
    save(tmp_path, "mug/0.npy", size=6, seed=5)
    made = Folder(str(tmp_path), num_points=6, test_fraction=0.01)
    both = [made.load(split) for split in ("train", "test")]
    points = {
        name: cloud for part in both for name, cloud in zip(part.ids, part.points, strict=True)
    }
    assert np.array_equal(points["mug/6.npy"].numpy(), clouds[6])
    more, fewer = points["mug/9.npy"].numpy(), points["mug/4.npy"].numpy()
    assert len(np.unique(more, axis=0)) == 6 and rows(more) <= rows(clouds[9])
    assert np.array_equal(fewer[:4], clouds[4]) and rows(fewer) == rows(clouds[4])
    assert any(note.endswith("points brought to 6") for note in both[0].notes)


def rows(points: np.ndarray) -> set[tuple[float, ...]]:
    return {tuple(row) for row in points.tolist()}


def test_the_drawn_points_depend_on_the_seed_and_the_file_alone(tmp_path):
    for name in ("train/mug/a.npy", "test/mug/a.npy"):
        save(tmp_path, name, size=50)
    alone = Folder(str(tmp_path), num_points=5)
    first, other = alone.load("train").points, alone.load("test").points
    for name in ("train/cup/a.npy", "train/mug/0.npy"):
        save(tmp_path, name, size=50, seed=1)
    again = alone.load("train")
    assert again.points[again.ids.index("train/mug/a.npy")].equal(first[0])
    assert not other.equal(first)
    assert not Folder(str(tmp_path), num_points=5, seed=1).load("test").points.equal(other)


def test_the_frame_is_brought_to_z_up(tmp_path):
    (tmp_path / "mug").mkdir()
    np.save(tmp_path / "mug/a.npy", np.float32([[1, 2, 3]]))
    loaded = Folder(str(tmp_path), num_points=1, up_axis="y").load("train")
    assert loaded.points.tolist() == [[[3, 1, 2]]] and loaded.up_axis == "y"


def test_files_are_sorted_by_number(tmp_path):
    for number in (10, 9, 1):
        save(tmp_path, f"train/mug/{number}.npy")
        save(tmp_path, f"test/mug/{number}.npy")
    ids = Folder(str(tmp_path)).load("train").ids
    assert ids == ("train/mug/1.npy", "train/mug/9.npy", "train/mug/10.npy")


def test_hidden_entries_are_skipped_and_others_noted(ten):
    (ten / ".git").mkdir()
    (ten / "mug" / ".DS_Store").write_text("x")
    clean = Folder(str(ten), num_points=6).load("train").notes
    (ten / "readme.md").write_text("x")
    (ten / "mug" / "photo.jpg").write_text("x")
    noted = Folder(str(ten), num_points=6).load("train").notes
    assert set(noted) - set(clean) == {"passed over 2 entries that are no clouds"}


def test_what_readers_guess_is_told(tmp_path):
    (tmp_path / "mug").mkdir()
    for name in "ab":
        (tmp_path / "mug" / f"{name}.txt").write_text("1 2 3 0.5\n")
    made = Folder(str(tmp_path), num_points=1, test_fraction=0.01)
    assert "columns read as x y z intensity (1 files)" in made.load("train").notes


def test_a_broken_file_is_named(ten):
    (ten / "mug" / "3.npy").write_bytes(b"junk")
    with pytest.raises(ReadError, match=r"mug/3\.npy: expected an npy header"):
        Folder(str(ten), num_points=6).check()


def test_a_folder_without_classes_or_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must hold a folder for each class, got none"):
        Folder(str(tmp_path)).load("train")
    (tmp_path / "mug").mkdir()
    with pytest.raises(ValueError, match=r"mug must hold files of \.csv, \.e57"):
        Folder(str(tmp_path)).load("train")
    with pytest.raises(FileNotFoundError, match="root must be a folder of class folders, got None"):
        Folder().load("train")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_points": 0}, "num_points must be at least 1, got 0"),
        ({"test_fraction": 1.0}, "test_fraction must be between 0 and 1, got 1.0"),
        ({"up_axis": "auto"}, "up_axis must be x, y or z, got 'auto'"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Folder("x", **options)


def test_an_unknown_split_is_refused(ten):
    with pytest.raises(ValueError, match="split must be train or test, got 'val'"):
        Folder(str(ten)).load("val")
