"""Laws that every transform obeys, and what each one does."""

from __future__ import annotations

import math
from typing import get_type_hints

import pytest
import torch

from pcmamba.data.batch import CloudBatch, Draw
from pcmamba.data.transforms import (
    TRANSFORMS,
    FirstPoints,
    Flip,
    Jitter,
    Normalize,
    PointDropout,
    RandomSubset,
    Rotate,
    Scale,
    Shift,
)

ALL = {
    "first_points": FirstPoints(16),
    "flip": Flip(),
    "jitter": Jitter(),
    "normalize": Normalize(),
    "point_dropout": PointDropout(),
    "random_subset": RandomSubset(16),
    "rotate": Rotate(),
    "scale": Scale(0.8, 1.2),
    "shift": Shift(0.2),
}
RANDOM = sorted(set(ALL) - {"first_points", "normalize"})
DRAW = Draw(seed=11, epoch=4)


def _batch(size: int = 6, points: int = 40, features: int | None = 2) -> CloudBatch:
    generator = torch.Generator().manual_seed(0)
    return CloudBatch(
        points=torch.randn(size, points, 3, generator=generator),
        labels=torch.arange(size) % 3,
        index=torch.arange(size) * 7 + 1,
        features=None if features is None else torch.randn(size, points, features),
    )


def _part(batch: CloudBatch, rows: list[int]) -> CloudBatch:
    features = None if batch.features is None else batch.features[rows]
    return CloudBatch(batch.points[rows], batch.labels[rows], batch.index[rows], features)


def test_every_registered_transform_is_tested_here():
    kinds = {name: get_type_hints(TRANSFORMS[name].__call__)["batch"] for name in TRANSFORMS}
    assert {name for name, kind in kinds.items() if kind is CloudBatch} == set(ALL)
    for name, transform in ALL.items():
        assert TRANSFORMS[name] is type(transform)
        assert getattr(transform, "stream", name) == name


@pytest.mark.parametrize("name", ALL)
def test_batch_mates_never_change_a_cloud(name: str):
    whole = ALL[name](_batch(points=515), DRAW)
    for rows in ([3], [5, 0, 3], [1, 2, 3, 4]):
        part = ALL[name](_part(_batch(points=515), rows), DRAW)
        place = rows.index(3)
        assert torch.equal(part.points[place], whole.points[3])


@pytest.mark.parametrize("name", ALL)
def test_the_input_is_never_written_to(name: str):
    batch = _batch()
    points, features = batch.points.clone(), batch.features.clone()
    out = ALL[name](batch, DRAW)
    assert torch.equal(batch.points, points)
    assert torch.equal(batch.features, features)
    assert torch.equal(out.labels, batch.labels)
    assert torch.equal(out.index, batch.index)
    assert out.points.dtype == torch.float32


@pytest.mark.parametrize("name", ALL)
def test_equal_keys_give_equal_bits_and_the_global_generator_is_left_alone(name: str):
    state = torch.get_rng_state()
    first = ALL[name](_batch(features=None), DRAW)
    second = ALL[name](_batch(features=None), DRAW)
    assert torch.equal(first.points, second.points)
    assert first.features is None
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("draw", [Draw(12, 4), Draw(11, 5)], ids=["seed", "epoch"])
def test_seed_and_epoch_change_the_draw(name: str, draw: Draw):
    first, second = ALL[name](_batch(), DRAW), ALL[name](_batch(), draw)
    assert not torch.equal(first.points, second.points)


@pytest.mark.parametrize("name", RANDOM)
def test_clouds_of_a_batch_draw_apart(name: str):
    batch = _batch(16)
    equal = CloudBatch(batch.points[:1].expand(16, -1, -1), batch.labels, batch.index)
    out = ALL[name](equal, DRAW).points
    assert len(torch.unique(out.reshape(16, -1), dim=0)) > 1


def test_random_subset_keeps_points_with_their_features_and_repeats_none():
    batch = _batch(points=10)
    batch = CloudBatch(batch.points, batch.labels, batch.index, batch.points * 2)
    out = RandomSubset(7)(batch, DRAW)
    assert out.points.shape == (6, 7, 3)
    assert torch.equal(out.features, out.points * 2)
    for kept, cloud in zip(out.points, batch.points, strict=True):
        match = (kept[:, None] == cloud[None]).all(dim=-1)
        assert match.sum(dim=1).tolist() == [1] * 7
        assert match.sum(dim=0).max() == 1


def test_random_subset_of_all_points_shuffles_them():
    batch = _batch(points=12)
    out = RandomSubset(12)(batch, DRAW).points
    assert not torch.equal(out, batch.points)
    assert torch.equal(out.sort(dim=1).values, batch.points.sort(dim=1).values)


def test_first_points_keeps_the_stored_order():
    batch = _batch()
    out = FirstPoints(3)(batch, DRAW)
    assert torch.equal(out.points, batch.points[:, :3])
    assert torch.equal(out.features, batch.features[:, :3])


@pytest.mark.parametrize("isotropic", [False, True])
def test_scale_factors_fill_their_range(isotropic: bool):
    ones = CloudBatch(torch.ones(2000, 2, 3), torch.zeros(2000).long(), torch.arange(2000))
    factors = Scale(2 / 3, 3 / 2, isotropic)(ones, DRAW).points
    assert torch.equal(factors[:, 0], factors[:, 1])
    assert 2 / 3 <= factors.min() < 0.68
    assert 1.48 < factors.max() <= 1.5
    assert (factors[:, 0, 0] == factors[:, 0, 1]).all() == isotropic
    assert (factors[:, 0].mean(dim=0) - 13 / 12).abs().max() < 0.03


def test_shift_offsets_fill_their_range():
    zeros = CloudBatch(torch.zeros(2000, 2, 3), torch.zeros(2000).long(), torch.arange(2000))
    offsets = Shift(0.2)(zeros, DRAW).points
    assert torch.equal(offsets[:, 0], offsets[:, 1])
    assert -0.2 <= offsets.min() < -0.19
    assert 0.19 < offsets.max() <= 0.2
    assert offsets[:, 0].mean(dim=0).abs().max() < 0.015


def test_rotate_turns_about_z_and_keeps_lengths():
    batch = _batch(500)
    out = Rotate(math.pi / 2)(batch, DRAW).points
    assert torch.equal(out[..., 2], batch.points[..., 2])
    assert torch.allclose(out.norm(dim=-1), batch.points.norm(dim=-1), atol=1e-5)
    flat = torch.view_as_complex(out[..., :2].contiguous())
    angle = (flat / torch.view_as_complex(batch.points[..., :2].contiguous())).angle()
    assert (angle - angle[:, :1]).abs().max() < 1e-2
    assert -math.pi / 2 <= angle[:, 0].min() < -1.5
    assert 1.5 < angle[:, 0].max() <= math.pi / 2


def test_jitter_is_clipped_normal_noise():
    batch = _batch(200)
    noise = Jitter(0.01, 0.02)(batch, DRAW).points - batch.points
    assert noise.abs().max() < 0.02 + 1e-6
    assert abs(noise.mean()) < 3e-4
    # The variance of a normal variable clipped at two standard deviations.
    assert abs(noise.std() - 0.01 * math.sqrt(0.9205)) < 2e-4


def test_point_dropout_repeats_the_first_point():
    batch = _batch(300)
    out = PointDropout(0.5)(batch, DRAW)
    dropped = (out.points == batch.points[:, :1]).all(dim=-1)
    kept = (out.points == batch.points).all(dim=-1)
    assert (dropped | kept).all()
    assert torch.equal(out.features[dropped], batch.features[:, :1].expand(-1, 40, -1)[dropped])
    assert abs(dropped[:, 1:].float().mean() - 0.25) < 0.03
    assert dropped[:, 1:].float().mean(dim=1).max() < 0.85


def test_flip_mirrors_x_and_y_each_half_the_time():
    batch = _batch(1000)
    sign = (Flip()(batch, DRAW).points / batch.points)[:, 0]
    assert set(sign[:, :2].unique().tolist()) == {-1.0, 1.0}
    assert (sign[:, 2] == 1).all()
    assert sign[:, :2].mean(dim=0).abs().max() < 0.13
    assert abs((sign[:, 0] * sign[:, 1]).mean()) < 0.13


def test_normalize_by_hand():
    square = torch.tensor([[[0.0, 0, 5], [4, 0, 5], [4, 4, 5], [0, 4, 5]]])
    batch = CloudBatch(square, torch.zeros(1).long(), torch.zeros(1).long())
    h = math.sqrt(0.5)
    expected = torch.tensor([[[-h, -h, 0], [h, -h, 0], [h, h, 0], [-h, h, 0]]])
    assert torch.allclose(Normalize()(batch, DRAW).points, expected)
    assert torch.equal(Normalize(unit_sphere=False)(batch, DRAW).points, square - square.mean(1))
    radius = Normalize(centre=False)(batch, DRAW).points.norm(dim=-1).max()
    assert torch.isclose(radius, torch.tensor(1.0))


def test_normalize_leaves_a_single_point_at_the_origin():
    batch = CloudBatch(torch.full((1, 3, 3), 2.5), torch.zeros(1).long(), torch.zeros(1).long())
    assert torch.equal(Normalize()(batch, DRAW).points, torch.zeros(1, 3, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomSubset(0), "num_points must be at least 1, got 0"),
        (lambda: FirstPoints(0), "num_points must be at least 1, got 0"),
        (lambda: RandomSubset(41)(_batch(), DRAW), "num_points must be at most .* 40, got 41"),
        (lambda: FirstPoints(41)(_batch(), DRAW), "num_points must be at most .* 40, got 41"),
        (lambda: Scale(1.2, 0.8), "low, high must satisfy 0 < low <= high, got 1.2, 0.8"),
        (lambda: Scale(0.0, 0.8), "low, high must satisfy"),
        (lambda: Shift(-1.0), "distance must be at least 0, got -1.0"),
        (lambda: Rotate(-1.0), "max_angle must be at least 0, got -1.0"),
        (lambda: Jitter(-1.0), "sigma, clip must be at least 0, got -1.0, 0.05"),
        (lambda: Flip(1.5), "probability must be in 0 … 1, got 1.5"),
        (lambda: PointDropout(1.5), "max_ratio must be in 0 … 1, got 1.5"),
    ],
)
def test_documented_errors(make, message: str):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(ValueError, match="Did you mean 'scale'"):
        TRANSFORMS["scal"]


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL)
def test_the_gpu_gives_the_same_clouds(name: str):
    batch = _batch()
    there = ALL[name](batch.to("cuda"), DRAW)
    assert torch.allclose(ALL[name](batch, DRAW).points, there.points.cpu(), rtol=1e-6, atol=1e-6)
