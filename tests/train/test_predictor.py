from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from pcmamba.data.datasets import DATASETS
from pcmamba.train.predictor import find_model, find_run, load


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return load(tiny_run, device="cpu")


@pytest.fixture(scope="module")
def cloud():
    return DATASETS["shapes"](test_size=3, num_points=200).load("test").points[2].numpy()


def test_prediction_names_the_best_classes_with_their_probabilities(predictor, cloud):
    found = predictor.predict(cloud, top=3)
    assert len(found.class_names) == len(found.probabilities) == 3
    assert list(found.probabilities) == sorted(found.probabilities, reverse=True)
    whole = predictor.predict(cloud, top=100)
    assert set(whole.class_names) == set(predictor.model.class_names)
    assert sum(whole.probabilities) == pytest.approx(1.0)
    assert found.label == whole.class_names[0] == found.class_names[0]
    assert str(found).startswith(f"{found.label} ")


def test_probabilities_are_the_models(predictor, cloud):
    points = torch.from_numpy(cloud[:64])
    model = predictor.model
    with torch.no_grad():
        logits = model(model.preprocessing.normalize(points)[None])
    wanted = logits[0].double().softmax(0).sort(descending=True).values
    found = predictor.predict(points, top=16)
    assert list(found.probabilities) == wanted.tolist()


@pytest.mark.parametrize(
    ("count", "used", "said"),
    [
        (200, 64, "sampled 64 of 200 points"),
        (64, 64, "used all 64 points;"),
        (50, 50, "used all 50 points, fewer than the 64 the model was trained on"),
    ],
)
def test_any_number_of_points_is_told(predictor, cloud, count, used, said):
    found = predictor.predict(cloud[:count])
    assert found.num_points == used
    assert said in found.note


def test_too_few_points_are_an_error(predictor, cloud):
    with pytest.raises(ValueError, match=r"points must be enough for .* local groups, got 3"):
        predictor.predict(cloud[:3])


def test_seed_chooses_the_points(predictor, cloud):
    by_seed = [predictor.predict(cloud, seed=seed).probabilities for seed in (0, 0, 1)]
    assert by_seed[0] == by_seed[1] != by_seed[2]


def test_scale_place_and_frame_do_not_matter(predictor, cloud):
    points = cloud[:64].astype(np.float64)
    found = predictor.predict(points)
    moved = predictor.predict(points * 40.0 + [5.0, -3.0, 100.0])
    np.testing.assert_allclose(moved.probabilities, found.probabilities, rtol=1e-3)
    y_up = points[:, [1, 2, 0]]  # (x, y, z) with y up holds the old (y, z, x)
    assert predictor.predict(y_up, up_axis="y").probabilities == found.probabilities
    assert "taken as y up" in predictor.predict(y_up, up_axis="y").note
    assert "up axis not given" in found.note


def test_company_does_not_change_a_bit(predictor, cloud):
    others = [cloud[:64] + 0.1, cloud[:70], cloud[:64]]
    alone = [predictor.predict(c) for c in others]
    assert predictor.predict_many(others) == alone
    assert predictor.predict_many(others[::-1]) == alone[::-1]
    together = predictor.predict_many(others, batch_size=8)
    for a, b in zip(together, alone, strict=True):
        assert a.class_names == b.class_names
        np.testing.assert_allclose(a.probabilities, b.probabilities, rtol=1e-4)


def test_files_and_arrays_agree(predictor, cloud, tmp_path):
    np.save(tmp_path / "a.npy", cloud[:64])
    found = predictor.predict(tmp_path / "a.npy")
    assert found.source == str(tmp_path / "a.npy")
    assert found.probabilities == predictor.predict(cloud[:64]).probabilities


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((5, 2)), r"points must be \(N, 3\) with N >= 1, got \(5, 2\)"),
        (np.zeros((0, 3)), r"got \(0, 3\)"),
        (np.full((80, 3), np.nan), "points must be finite"),
    ],
)
def test_unusable_points_are_named(predictor, points, message):
    with pytest.raises(ValueError, match=message):
        predictor.predict(points)


def test_unusable_options_are_named(predictor, cloud):
    with pytest.raises(ValueError, match="top must be at least 1, got 0"):
        predictor.predict(cloud, top=0)
    with pytest.raises(ValueError, match="up_axis must be x, y or z, got 'w'"):
        predictor.predict(cloud, up_axis="w")
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        predictor.predict_many([cloud], batch_size=0)


def test_model_is_found_from_a_run_a_folder_or_a_hub_name(tiny_run, tmp_path, monkeypatch):
    assert find_model(tiny_run) == tiny_run / "model"
    assert find_model(tiny_run / "checkpoints" / "best") == tiny_run / "checkpoints" / "best"
    assert find_model("someone/pcm-tiny") == "someone/pcm-tiny"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(FileNotFoundError, match="runs/typo must be the folder"):
        find_model("runs/typo")


def test_run_is_found_from_its_parts(tiny_run, tmp_path):
    for part in (".", "model", "checkpoints/best"):
        assert find_run(tiny_run / part) == tiny_run.resolve()
    assert find_run(tmp_path / "a" / "b" / "c") is None


def test_unfinished_run_says_how_to_finish(tiny_run, tmp_path):
    shutil.copy(tiny_run / "config.yaml", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"must be a finished run.*--resume"):
        load(tmp_path)


def test_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="must exist: it is part of a saved model"):
        load(tmp_path)
