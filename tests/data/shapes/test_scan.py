"""Sampling of surfaces and the defects of scans."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.shapes.dice import Dice
from pcmamba.data.shapes.mesh import box, frustum
from pcmamba.data.shapes.scan import Defects, Scan, normalise, sample_surface, scan

CLEAN = Defects(missing=0.0, thinning=1.0, noise=0.0, outliers=0.0)


def test_points_lie_on_the_surface_in_proportion_to_area():
    cloud = sample_surface(box(1, 2, 3).labelled(4), 22000, Dice(0))
    x, y, z = cloud.points.T
    on = [np.isclose(np.abs(x), 0.5), np.isclose(np.abs(y), 1.0), np.isclose(z % 3, 0.0)]
    assert np.logical_or.reduce(on).all()
    for face, area in zip(on, (12, 6, 4), strict=True):
        assert abs(face.sum() / 1000 - area) < 0.4
    assert (cloud.part == 4).all()


def test_normals_are_unit_vectors_across_their_face():
    cloud = sample_surface(box(1, 2, 3), 500, Dice(0))
    assert np.allclose((cloud.normals**2).sum(axis=1), 1.0)
    side = np.isclose(cloud.points[:, 0], 0.5)
    assert (cloud.normals[side] == [1.0, 0.0, 0.0]).mean() > 0.99


def test_points_spread_evenly_within_a_face():
    x, y, _ = sample_surface(box(2, 2, 1e-9), 20000, Dice(1)).points.T
    counts, _, _ = np.histogram2d(x, y, bins=4)
    assert np.abs(counts / 1250 - 1).max() < 0.15


def test_scans_are_centred_in_the_unit_sphere_with_the_points_asked_for():
    for key in range(20):
        cloud = scan(box(1, 2, 3).moved(5, 5, 5), 300, Defects(), Dice(key))
        assert cloud.points.shape == cloud.normals.shape == (300, 3)
        assert np.abs(cloud.points.mean(axis=0)).max() < 1e-12
        assert abs(np.sqrt((cloud.points**2).sum(axis=1)).max() - 1) < 1e-12


def test_a_scan_without_defects_stays_on_the_surface():
    cloud = scan(frustum(1, 1, 1), 2000, CLEAN, Dice(2))
    radius = np.sqrt((cloud.points[:, :2] ** 2).sum(axis=1))
    level = cloud.points[:, 2]
    flat = (level - level.min() < 0.02) | (level.max() - level < 0.02)
    assert radius[~flat].std() < 0.02 * radius[~flat].mean()


def test_missing_parts_are_missing():
    def emptiest(defects: Defects, key: int) -> float:
        points = scan(box(1, 1, 1), 1024, defects, Dice(key)).points
        counts, _ = np.histogramdd(points - (points.min(0) + points.max(0)) / 2, bins=2)
        return float(counts.min() / 128)

    whole = [emptiest(CLEAN, key) for key in range(30)]
    cut = [emptiest(Defects(0.5, 1.0, 0.0, 0.0), key) for key in range(30)]
    assert min(whole) > 0.6
    assert np.median(cut) < 0.6


def test_thinning_moves_the_mean_away_from_the_middle():
    def offset(thinning: float) -> float:
        defects = Defects(0.0, thinning, 0.0, 0.0)
        clouds = [scan(box(1, 1, 1), 1024, defects, Dice(key)).points for key in range(30)]
        middles = [(points.min(axis=0) + points.max(axis=0)) / 2 for points in clouds]
        return float(np.mean([np.abs(middle).max() for middle in middles]))

    assert offset(0.05) > 3 * offset(1.0)


def test_noise_and_outliers_leave_the_surface():
    def distance(defects: Defects) -> np.ndarray:
        level = scan(box(2, 2, 1e-6), 2000, defects, Dice(7)).points[:, 2]
        return np.abs(level - np.median(level))

    assert distance(CLEAN).max() < 1e-5
    noisy = distance(Defects(0.0, 1.0, 0.05, 0.0))
    assert 0.0005 < noisy.std() < 0.05
    apart = distance(Defects(0.0, 1.0, 0.0, 0.1)) > 0.01
    assert 0 < apart.sum() <= 200


def test_normalise_by_hand():
    points = np.array([[0.0, 0, 0], [4, 0, 0]])
    cloud = normalise(Scan(points, points, np.zeros(2, dtype=np.int64)))
    assert cloud.points.tolist() == [[-1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"missing": 1.0},
        {"thinning": 0.0},
        {"noise": -0.1},
        {"outliers": 1.1},
        {"outlier_distance": -1.0},
    ],
)
def test_impossible_defects_are_refused(wrong: dict):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        Defects(**wrong)
