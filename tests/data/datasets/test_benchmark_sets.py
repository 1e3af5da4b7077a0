"""What is particular to each benchmark set; that all load their fakes is tested elsewhere."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from pcmamba.data.datasets import (
    S3DIS,
    Folder,
    ModelNet10,
    ModelNetFewShot,
    ModelNetResampled,
    ScanObjectNN,
    ShapeNetPart,
)
from pcmamba.data.writers import write_ply


def test_scanobjectnn_variants_are_files_of_their_own(tmp_path):
    ScanObjectNN.make_fake(str(tmp_path))
    sets = {v: ScanObjectNN(str(tmp_path), v, strict=False) for v in ("OBJ_BG", "OBJ_ONLY")}
    first, second = (made.load("test") for made in sets.values())
    assert not first.points.equal(second.points)
    assert "variant OBJ_ONLY, main_split_nobg/test_objectdataset.h5" in second.notes
    with h5py.File(tmp_path / "h5_files/main_split/test_objectdataset.h5") as file:
        x, y, z = file["data"][0, 0]
    assert first.points[0, 0].tolist() == [z, x, y]  # y up in the file
    with pytest.raises(ValueError, match=r"test must have 581 clouds, got 15; strict=False"):
        ScanObjectNN(str(tmp_path), "OBJ_BG").load("test")
    with pytest.raises(ValueError, match="Did you mean 'OBJ_BG'"):
        ScanObjectNN(variant="OBJ_BGG")
    with pytest.raises(FileNotFoundError, match="variant PB_T50_RS, found none"):
        (tmp_path / "empty").mkdir()
        ScanObjectNN(str(tmp_path / "empty")).load("train")


def test_names_with_underscores_keep_them(tmp_path):
    made = ModelNetResampled.make_fake(str(tmp_path)).load("train")
    index = made.ids.index("flower_pot_0001")
    assert made.class_names[made.labels[index]] == "flower_pot"
    text = (tmp_path / "modelnet40_normal_resampled/flower_pot/flower_pot_0001.txt").read_text()
    rows = {tuple(np.float32(v) for v in line.split(",")) for line in text.split("\n")}
    turned = np.concatenate([made.points[index], made.normals[index]], axis=1)[
        :, [1, 2, 0, 4, 5, 3]
    ]
    assert {tuple(row) for row in turned} <= rows


def test_meshes_are_drawn_from_by_name_and_seed(tmp_path):
    made = ModelNet10.make_fake(str(tmp_path))
    first = made.load("train")
    assert len(first) == 20 and first.normals is not None
    assert float(first.points.norm(dim=2).amax(dim=1).min()) == pytest.approx(1.0)
    other = ModelNet10(str(tmp_path), num_points=16, seed=1, strict=False).load("train")
    assert not other.points.equal(first.points)
    with pytest.raises(ValueError, match="train must have 3,991 meshes, got 20"):
        ModelNet10(str(tmp_path)).load("train")


def test_few_shot_names_the_classes_of_the_fold(tmp_path):
    made = ModelNetFewShot.make_fake(str(tmp_path))
    train = made.load("train")
    assert train.class_names == ("airplane", "car", "dresser", "mantel", "range_hood")
    assert train.labels.bincount().tolist() == [20] * 5
    with pytest.raises(ValueError, match="train must have 50 clouds, got 100"):
        path = tmp_path / "ModelNetFewshot"
        (path / "5way20shot").rename(path / "5way_10shot")
        ModelNetFewShot(str(path)).load("train")
    with pytest.raises(FileNotFoundError, match=r"5way_10shot/3\.pkl"):
        ModelNetFewShot(str(path), fold=3).load("train")


def test_parts_belong_to_one_category(tmp_path):
    made = ShapeNetPart.make_fake(str(tmp_path))
    train = made.load("train")
    assert train.class_names == ("Airplane", "Bag", "Cap") and len(train.part_names) == 6
    assert train.part_names[2] == "Bag.2"
    folder = tmp_path / "shapenetcore_partanno_segmentation_benchmark_v0_normal"
    with (folder / "02691157" / "s10.txt").open("a") as file:
        file.write("0 0 0 0 0 1 0.000000\n")
    with pytest.raises(ValueError, match="part 0 must be of one category, got Airplane and Bag"):
        made.load("train")


def test_an_id_in_two_lists_is_refused(tmp_path):
    made = ShapeNetPart.make_fake(str(tmp_path))
    folder = tmp_path / "shapenetcore_partanno_segmentation_benchmark_v0_normal"
    (folder / "train_test_split" / "shuffled_val_file_list.json").write_text(
        json.dumps(["shape_data/02691156/s00"])
    )
    with pytest.raises(ValueError, match="ids must be listed once, got 02691156/s00 again"):
        made.load("test")


def test_s3dis_keeps_instances_and_makes_unknown_classes_clutter(tmp_path):
    made = S3DIS.make_fake(str(tmp_path))
    assert [p.name for p in made.rooms("train")] == ["hallway_1", "office_1"]
    room = made.read_room(made.rooms("test")[0])
    assert room.labels.tolist() == [0] * 9 + [8] * 18 + [1] * 9 + [12] * 9 or set(
        room.labels.tolist()
    ) == {0, 1, 8, 12}
    assert np.unique(room.attributes["instance"]).tolist() == [0, 1, 2, 3, 4]
    assert room.colors is not None and room.notes == ()


def test_a_broken_line_is_named_and_repaired_on_request(tmp_path):
    made = S3DIS.make_fake(str(tmp_path))
    path = tmp_path / "Area_5" / "office_1" / "Annotations" / "ceiling_1.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], "1 2 3 4 185\x10 6", *lines[3:]]))
    with pytest.raises(ValueError, match=r"ceiling_1\.txt: line 4 must .*repair=True"):
        made.load("test")
    mended = S3DIS(str(tmp_path), num_points=32, repair=True)
    room = mended.read_room(mended.rooms("test")[1])
    assert len(room) == 45 and "left out 1 broken lines of ceiling_1.txt" in room.notes


def test_s3dis_npy_rooms(tmp_path):
    rng = np.random.default_rng(0)
    rows = np.c_[rng.random((50, 3)), rng.integers(0, 256, (50, 3)), rng.integers(0, 13, 50)]
    for name in ("Area_1_office_1", "Area_5_WC_2"):
        np.save(tmp_path / f"{name}.npy", rows)
    made = S3DIS(str(tmp_path), num_points=20)
    assert made.load("test").ids == ("Area_5_WC_2",)
    assert made.read_room(made.rooms("train")[0]).labels.tolist() == rows[:, 6].tolist()
    rows[3, 6] = 13
    np.save(tmp_path / "Area_5_WC_2.npy", rows)
    with pytest.raises(ValueError, match=r"Area_5_WC_2\.npy: labels must be in 0 … 12"):
        made.load("test")


def test_a_folder_with_a_label_for_each_point(tmp_path):
    from pcmamba.data import PointCloud

    rng = np.random.default_rng(0)
    for number in range(4):
        path = tmp_path / "scene" / f"{number}.ply"
        path.parent.mkdir(exist_ok=True)
        xyz = rng.random((30, 3)).astype(np.float32)
        write_ply(path, PointCloud(xyz, labels=(xyz[:, 0] > 0.5).astype(np.int64)))
    made = Folder(str(tmp_path), num_points=20, point_labels=True, point_names=["low", "high"])
    train = made.load("train")
    assert train.part_names == ("low", "high")
    assert train.part_labels.equal((train.points[..., 0] > 0.5).long())
    with pytest.raises(ValueError, match="labels must be in 0 … 0, got 0 to 1"):
        Folder(str(tmp_path), point_labels=True, point_names=["low"]).load("train")
