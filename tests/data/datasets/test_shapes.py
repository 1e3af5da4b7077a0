"""The synthetic set: the same bits everywhere, fair splits, and no easy way to the classes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.shapes import Shapes, part_names
from pcmamba.data.shapes import FAMILIES
from pcmamba.data.structures import CloudSet


@pytest.fixture(scope="module")
def train() -> CloudSet:
    return Shapes().load("train")


@pytest.fixture(scope="module")
def test() -> CloudSet:
    return Shapes().load("test")


def _small(**options) -> Shapes:
    return Shapes(**{"train_size": 32, "test_size": 16, "num_points": 64, **options})


def test_the_registered_set_is_synthetic_and_says_so():
    dataset = DATASETS["shapes"](None, train_size=16)
    clouds = dataset.load("train")
    assert clouds.synthetic
    for text in (clouds.name, *clouds.notes, dataset.check()[0]):
        assert "synthetic" in text


def test_clouds_are_centred_in_the_unit_sphere(train: CloudSet):
    assert train.points.shape == (2400, 1024, 3)
    assert train.up_axis == "z"
    assert train.points.mean(dim=1).abs().max() < 1e-5
    assert (train.points.norm(dim=-1).amax(dim=1) - 1).abs().max() < 1e-5
    assert torch.allclose(train.normals.norm(dim=-1), torch.tensor(1.0), atol=1e-5)


def test_classes_are_balanced_mixed_and_named(train: CloudSet, test: CloudSet):
    for clouds in (train, test):
        assert clouds.class_names == tuple(sorted(FAMILIES))
        counts = torch.bincount(clouds.labels)
        assert counts.max() - counts.min() <= 1
        assert clouds.labels[:16].tolist() == list(range(16))
        assert len(set(clouds.ids)) == len(clouds)


def test_part_labels_belong_to_the_class(train: CloudSet):
    assert train.part_names == part_names()
    assert len(set(train.part_names)) == len(train.part_names)
    for label, parts in zip(train.labels.tolist(), train.part_labels, strict=True):
        owners = {train.part_names[k].split("/")[0] for k in parts.unique().tolist()}
        assert owners == {train.class_names[label]}
    assert torch.bincount(train.part_labels.flatten(), minlength=len(part_names())).min() > 0


def test_the_same_seed_gives_the_same_bits():
    first, second, other = (_small(seed=s).load("train") for s in (3, 3, 4))
    assert torch.equal(first.points, second.points)
    assert torch.equal(first.normals, second.normals)
    assert torch.equal(first.part_labels, second.part_labels)
    assert (first.points != other.points).float().mean() > 0.99


def test_the_bits_are_those_of_every_other_machine():
    # Pinned so that a change of the generator, wanted or not, shows.
    points = _small().load("train").points.numpy()
    assert hashlib.sha256(points.tobytes()).hexdigest() == (
        "016451e1af56768dcb49e84179fbbde76cbc553e8fb77d113f0fe7a6b40cad0b"
    )


def test_a_smaller_set_is_the_beginning_of_a_larger_one():
    assert torch.equal(_small(train_size=5).load("train").points, _small().load("train").points[:5])


def test_splits_share_no_cloud(train: CloudSet, test: CloudSet):
    seen = {cloud.numpy().tobytes() for cloud in train.points}
    assert len(seen) == len(train)
    assert not any(cloud.numpy().tobytes() in seen for cloud in test.points)
    assert not set(train.ids) & set(test.ids)


def test_the_pose_about_the_up_axis_is_free(train: CloudSet):
    """Turned solids have no preferred horizontal axis: the second moments balance out."""
    x, y, _ = train.points.unbind(-1)
    tall = (x * x).sum(dim=1) / ((x * x).sum(dim=1) + (y * y).sum(dim=1))
    cross = (x * y).sum(dim=1) / ((x * x).sum(dim=1) + (y * y).sum(dim=1))
    assert abs(tall.mean() - 0.5) < 0.02
    assert abs(cross.mean()) < 0.02
    assert tall.std() > 0.05


def _statistics(points: np.ndarray) -> dict[str, np.ndarray]:
    """Describe clouds (S, N, 3) by extents, pair distances, and quantiles of radius and height."""
    pairs = np.random.default_rng(0).integers(0, points.shape[1], (2, 4096))
    distance = np.linalg.norm(points[:, pairs[0]] - points[:, pairs[1]], axis=-1)
    extent = np.ptp(points, axis=1)
    marks = np.linspace(0, 1, 11)
    columns = [np.linalg.norm(points, axis=-1), np.linalg.norm(points[..., :2], axis=-1)]
    quantiles = [np.quantile(c, marks, axis=1).T for c in [*columns, points[..., 2]]]
    return {
        "extents": np.concatenate([extent, np.sort(extent, axis=1), np.sort(extent[:, :2])], 1),
        "pair distances": np.stack([np.histogram(d, 32, (0, 2))[0] / 4096 for d in distance]),
        "radius and height": np.concatenate(quantiles, axis=1),
    }


def _nearest_neighbour(train: tuple, test: tuple, power: int) -> float:
    mean, spread = train[0].mean(axis=0), train[0].std(axis=0) + 1e-9
    known, asked = (torch.from_numpy((f - mean) / spread) for f in (train[0], test[0]))
    nearest = torch.cdist(asked, known, p=float(power)).argmin(dim=1)
    return (train[1][nearest] == test[1]).float().mean().item()


def test_simple_statistics_do_not_give_the_class_away(train: CloudSet, test: CloudSet):
    known, asked = _statistics(train.points.numpy()), _statistics(test.points.numpy())
    choices = [[name] for name in known] + [["extents", "pair distances"], list(known)]
    scores = {}
    for names in choices:
        a, b = (np.concatenate([f[n] for n in names], axis=1) for f in (known, asked))
        for power in (1, 2):
            score = _nearest_neighbour((a, train.labels), (b, test.labels), power)
            scores[f"{' + '.join(names)}, L{power}"] = score
    best = max(scores.values())
    print({name: round(score, 3) for name, score in scores.items()})
    assert 2 / 16 < best <= 0.60, scores


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_size": 0}, "train_size must be at least 1, got 0"),
        ({"test_size": 0}, "test_size must be at least 1, got 0"),
        ({"num_points": 7}, "num_points must be at least 8, got 7"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"stretch": 0.5}, "stretch must be at least 1, got 0.5"),
    ],
)
def test_documented_errors(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Shapes(**options)


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split must be one of train, test, got 'val'"):
        _small().load("val")


def test_the_fake_is_small_and_loads():
    fake = Shapes.make_fake(None)
    assert fake.load("train").points.shape == (32, 64, 3)
    assert fake.load("test").points.shape == (16, 64, 3)
