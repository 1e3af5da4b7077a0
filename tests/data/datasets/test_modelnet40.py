from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from pcmamba.data.axes import UP_AXES, to_z_up
from pcmamba.data.datasets import ModelNet40
from pcmamba.data.datasets.modelnet40 import CLASS_NAMES, COUNTS
from pcmamba.data.datasets.modelnet40_h5 import FOLDER


@pytest.fixture
def fake(tmp_path):
    return ModelNet40.make_fake(str(tmp_path))


def folder(made) -> Path:
    return Path(made.root) / FOLDER


def stored(made, name: str, key: str) -> np.ndarray:
    with h5py.File(folder(made) / name) as file:
        return file[key][:]


def store(made, name: str, **arrays: np.ndarray) -> None:
    with h5py.File(folder(made) / name, "w") as file:
        for key, values in arrays.items():
            file[key] = values


def write_official(root: Path, missing: int = 0) -> None:
    """Write the official counts as clouds of two points, of which `missing` cars are left out."""
    (root / FOLDER).mkdir()
    for split, counts in COUNTS.items():
        labels = np.repeat(np.arange(40, dtype=np.uint8), counts)
        if split == "train" and missing:
            labels = np.delete(labels, np.flatnonzero(labels == CLASS_NAMES.index("car"))[:missing])
        points = np.zeros((len(labels), 2, 3), np.float32)
        points[:, 0, 0] = 0.5
        with h5py.File(root / FOLDER / f"ply_data_{split}0.h5", "w") as file:
            file["data"], file["label"] = points, labels[:, None]


def test_the_constants_are_the_published_ones():
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES)) == 40
    assert list(CLASS_NAMES) == sorted(CLASS_NAMES)
    assert sum(COUNTS["train"]) == 9843 and sum(COUNTS["test"]) == 2468


def test_files_are_read_in_the_order_of_their_lists(fake):
    train, test = fake.load("train"), fake.load("test")
    assert train.points.shape == (80, 32, 3) and test.points.shape == (40, 32, 3)
    assert train.labels.tolist() == [*range(40), *range(40)]
    assert train.ids[15] == "flower_pot_0001" and train.ids[55] == "flower_pot_0002"
    assert test.ids[0] == "airplane_0003"
    assert train.class_names == CLASS_NAMES and not train.synthetic
    second = to_z_up(stored(fake, "ply_data_train1.h5", "data"), "y")
    assert np.array_equal(train.points[40:].numpy(), second)


@pytest.mark.parametrize("axis", UP_AXES)
def test_any_frame_is_brought_to_z_up(axis, tmp_path):
    made = ModelNet40.make_fake(str(tmp_path / axis), up_axis=axis)
    upright = ModelNet40.make_fake(str(tmp_path / "upright"), up_axis="z").load("train")
    loaded = made.load("train")
    assert loaded.up_axis == axis
    assert loaded.points.equal(upright.points)
    assert any(f"up axis {axis}, told from 10 standing classes" in n for n in loaded.notes)


def test_a_given_axis_is_taken(fake):
    given = ModelNet40(fake.root, up_axis="x", strict=False).load("test")
    assert given.up_axis == "x" and "up axis x, as given" in given.notes
    file = stored(fake, "ply_data_test0.h5", "data")
    assert np.array_equal(given.points.numpy(), to_z_up(file, "x"))


def test_an_axis_that_is_not_clear_must_be_given(fake):
    store(
        fake,
        "ply_data_test0.h5",
        data=np.random.default_rng(0).uniform(-0.5, 0.5, (40, 512, 3)).astype("f4"),
        label=np.arange(40, dtype=np.uint8)[:, None],
    )
    with pytest.raises(ValueError, match="up_axis must be given, no axis leads clearly"):
        fake.load("test")


def test_splits_on_different_axes_are_noticed(tmp_path, fake):
    other = ModelNet40.make_fake(str(tmp_path / "other"), up_axis="z")
    source = folder(other) / "ply_data_test0.h5"
    (folder(fake) / "ply_data_test0.h5").write_bytes(source.read_bytes())
    with pytest.raises(ValueError, match="same in both splits, got y in train and z in test"):
        fake.check()


def test_the_root_may_be_the_folder_itself(fake):
    inner = ModelNet40(str(folder(fake)), strict=False)
    assert inner.load("train").points.equal(fake.load("train").points)


def test_files_count_numerically_without_lists(fake):
    (folder(fake) / "train_files.txt").unlink()
    for old, new in ((0, 10), (1, 9)):
        (folder(fake) / f"ply_data_train{old}.h5").rename(folder(fake) / f"ply_data_train{new}.h5")
        names = folder(fake) / f"ply_data_train_{old}_id2file.json"
        names.rename(folder(fake) / f"ply_data_train_{new}_id2file.json")
    assert fake.load("train").ids[0] == "airplane_0002"


def test_list_lines_may_have_any_prefix_and_order(fake):
    before = fake.load("train").points
    lines = b"other\\place\\ply_data_train1.h5\r\n\r\n/x/ply_data_train0.h5"
    (folder(fake) / "train_files.txt").write_bytes(lines)
    assert fake.load("train").points.equal(before)


def test_without_names_the_shapes_are_numbered(fake):
    (folder(fake) / "ply_data_train_1_id2file.json").unlink()
    train = fake.load("train")
    assert train.ids[79] == "train_00079"
    assert "no id2file lists; shapes are numbered" in train.notes


def test_counts_are_compared(fake):
    strict = ModelNet40(fake.root)
    with pytest.raises(
        ValueError, match=r"80 shapes for 9,843 \(airplane 2 for 626, .*strict=False"
    ):
        strict.load("train")
    assert any("80 shapes for 9,843" in note for note in fake.load("train").notes)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (0, "all 9,843 shapes of the official list"),
        (3, "the release's 9,840 shapes, 3 fewer (car 194 for 197)"),
    ],
)
def test_the_official_list_and_the_release_are_told_apart(missing, said, tmp_path):
    write_official(tmp_path, missing)
    made = ModelNet40(str(tmp_path), up_axis="z")
    assert said in made.load("train").notes
    assert "all 2,468 shapes of the official list" in made.load("test").notes


def test_one_shape_too_few_is_refused(tmp_path):
    write_official(tmp_path, missing=1)
    with pytest.raises(ValueError, match=r"9,842 shapes for 9,843 \(car 196 for 197\)"):
        ModelNet40(str(tmp_path), up_axis="z").load("train")


def test_check_reports_and_finds_overlap(fake):
    lines = fake.check()
    assert any(line.startswith("test: sorted by class") for line in lines)
    assert "train and test share no cloud" in lines
    assert "licence: academic use (Princeton), https://modelnet.cs.princeton.edu" in lines
    source = folder(fake) / "ply_data_train1.h5"
    (folder(fake) / "ply_data_test0.h5").write_bytes(source.read_bytes())
    assert "clouds of test that are also in train: 40" in fake.check()


def rewrite_names(made, change):
    path = folder(made) / "ply_data_train_0_id2file.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def test_names_are_checked(fake):
    rewrite_names(fake, lambda names: [names[0], "airplane\\airplane_0001.ply", *names[2:]])
    notes = fake.load("train").notes
    assert "1 repeated ids, first airplane_0001" in notes
    assert "1 ids of another class than the label, first airplane_0001" in notes
    rewrite_names(fake, lambda names: names[1:])
    with pytest.raises(ValueError, match=r"0_id2file\.json must list the 40 shapes of .*, got 39"):
        fake.load("train")
    (folder(fake) / "ply_data_train_0_id2file.json").write_text("[")
    with pytest.raises(ValueError, match="must be JSON"):
        fake.load("train")


def test_other_class_names_are_noticed(fake):
    (folder(fake) / "shape_names.txt").write_text("\n".join(reversed(CLASS_NAMES)))
    assert "shape_names.txt with other class names than the 40 official ones" in (
        fake.load("train").notes
    )


def test_a_set_that_is_not_normalised_is_noticed(fake):
    data, label = (stored(fake, "ply_data_test0.h5", key) for key in ("data", "label"))
    store(fake, "ply_data_test0.h5", data=data * 2, label=label)
    assert "points up to 2 from zero instead of 1" in fake.load("test").notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros((40, 32, 2), "f4")}, r"data must be floats \(n, N, 3\)"),
        ({"data": np.zeros((40, 32, 3), "i4")}, "got int32"),
        ({"label": np.zeros((39, 1), "u1")}, r"label must be whole numbers \(40, 1\)"),
        ({"label": np.zeros((40, 1), "f4")}, r"got float32 \(40, 1\)"),
        ({"label": np.full((40, 1), 40, "u1")}, "label must be in 0 … 39, got 40 to 40"),
        (
            {"data": np.full((40, 32, 3), np.nan, "f4")},
            "NaN or infinity in 40 clouds, first in row 0",
        ),
    ],
)
def test_a_file_with_other_content_is_named(fake, change, message):
    arrays = {key: stored(fake, "ply_data_train1.h5", key) for key in ("data", "label")}
    store(fake, "ply_data_train1.h5", **(arrays | change))
    with pytest.raises(ValueError, match=rf"ply_data_train1\.h5: .*{message}"):
        fake.load("train")


def test_a_broken_file_is_named(fake):
    (folder(fake) / "ply_data_train1.h5").write_bytes(b"no hdf5")
    with pytest.raises(ValueError, match=r"train1\.h5 must be HDF5 with arrays data and label"):
        fake.load("train")
    store(fake, "ply_data_train1.h5", points=np.zeros(3))
    with pytest.raises(ValueError, match=r"train1\.h5 must be HDF5 with arrays data and label"):
        fake.load("train")


def test_files_must_agree_in_points(fake):
    data, label = (stored(fake, "ply_data_train1.h5", key) for key in ("data", "label"))
    store(fake, "ply_data_train1.h5", data=data[:, :16], label=label)
    with pytest.raises(ValueError, match=r"train files must agree in points, got \[16, 32\]"):
        fake.load("train")


def test_missing_files_are_named(fake):
    (folder(fake) / "ply_data_train1.h5").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"train1\.h5 is named in train_files\.txt but miss"
    ):
        fake.load("train")
    (folder(fake) / "train_files.txt").write_text("a/ply_data_train0.h5\nb/ply_data_train0.h5\n")
    with pytest.raises(ValueError, match="must name each file once"):
        fake.load("train")
    (folder(fake) / "train_files.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=r"must hold ply_data_train0\.h5 …, found none"):
        fake.load("train")


@pytest.mark.parametrize(
    ("sign", "form"),
    [
        ("modelnet40_shape_names.txt", "resampled"),
        ("modelnet40_normal_resampled/modelnet40_shape_names.txt", "resampled"),
        ("ModelNet40/airplane/train/airplane_0001.off", "meshes"),
        ("airplane/train/airplane_0001.off", "meshes"),
    ],
)
def test_other_forms_are_recognised(sign, form, tmp_path):
    (tmp_path / sign).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / sign).touch()
    with pytest.raises(NotImplementedError, match="another form of ModelNet40: read it as"):
        ModelNet40(str(tmp_path)).load("train")


def test_a_wrong_root_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="found none in"):
        ModelNet40(str(tmp_path)).load("train")
    with pytest.raises(FileNotFoundError, match="root must be an existing folder"):
        ModelNet40(str(tmp_path / "none")).load("train")
    with pytest.raises(ValueError, match="root must be the folder modelnet40_ply_hdf5_2048"):
        ModelNet40().load("train")


def test_wrong_options_are_refused(fake):
    with pytest.raises(ValueError, match="up_axis must be x, y, z or 'auto', got 'h'"):
        ModelNet40(fake.root, up_axis="h")
    with pytest.raises(ValueError, match="split must be train or test, got 'val'"):
        fake.load("val")
