"""Laws of the resident loader: every cloud once, exact resume, ranks that partition."""

from __future__ import annotations

import pytest
import torch

from pcmamba.data.batch import CloudBatch
from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events
from pcmamba.data.loader import ResidentLoader
from pcmamba.data.structures import CloudSet
from pcmamba.data.transforms import Jitter, Normalize, RandomSubset, Scale


def _clouds(count: int = 10, points: int = 6) -> CloudSet:
    grid = torch.arange(count * points * 3, dtype=torch.float32).reshape(count, points, 3)
    return CloudSet(
        points=grid,
        labels=torch.arange(count) % 3,
        class_names=("a", "b", "c"),
        ids=tuple(map(str, range(count))),
        name="grid",
        split="train",
        up_axis="z",
        synthetic=True,
    )


def _loader(count: int = 10, batch_size: int = 3, **options) -> ResidentLoader:
    settings = {"shuffle": True, "seed": 5, "transforms": (RandomSubset(4), Jitter(1.0, 3.0))}
    return ResidentLoader(_clouds(count), batch_size, **{**settings, **options})


def _same(a: list[CloudBatch], b: list[CloudBatch]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x.points, y.points)
        and torch.equal(x.labels, y.labels)
        and torch.equal(x.index, y.index)
        for x, y in zip(a, b, strict=True)
    )


def _seen(loader: ResidentLoader) -> list[int]:
    return torch.cat([batch.index for batch in loader]).tolist()


@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 64])
def test_every_cloud_comes_once_an_epoch(batch_size: int):
    loader = _loader(batch_size=batch_size)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert sorted(_seen(loader)) == list(range(10))


def test_batches_hold_the_clouds_they_name():
    clouds = _clouds()
    for batch in ResidentLoader(clouds, 4, shuffle=True, seed=0):
        assert torch.equal(batch.points, clouds.points[batch.index])
        assert torch.equal(batch.labels, clouds.labels[batch.index])


def test_without_shuffle_the_order_is_the_set_s():
    loader = _loader(shuffle=False)
    loader.set_epoch(7)
    assert _seen(loader) == list(range(10))


def test_the_order_is_a_function_of_seed_and_epoch():
    loader, other = _loader(count=50), _loader(count=50, seed=6)
    zero = _seen(loader)
    assert zero == _seen(loader)
    assert zero != _seen(other)
    loader.set_epoch(1)
    assert zero != _seen(loader)
    loader.set_epoch(0)
    assert zero == _seen(loader)


def test_the_batch_size_does_not_change_what_happens_to_a_cloud():
    clouds = {}
    for size in (1, 4, 10):
        for batch in _loader(batch_size=size):
            for index, points in zip(batch.index.tolist(), batch.points, strict=True):
                assert torch.equal(clouds.setdefault(index, points), points)


def test_drop_last_leaves_out_the_partial_batch():
    loader = _loader(drop_last=True)
    assert [len(batch) for batch in loader] == [3, 3, 3]
    assert len(loader) == 3


@pytest.mark.parametrize("stop", range(5))
def test_resume_goes_on_with_the_next_batch(stop: int):
    whole = _loader()
    whole.set_epoch(2)
    expected = list(whole)
    interrupted = _loader()
    interrupted.set_epoch(2)
    iterator = iter(interrupted)
    before = [next(iterator) for _ in range(stop)]
    state = interrupted.state_dict()
    resumed = _loader()
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert _same(before + list(resumed), expected)
    assert _same(list(resumed), expected)
    resumed.set_epoch(3)
    whole.set_epoch(3)
    assert _same(list(resumed), list(whole))


def test_resume_survives_an_iterator_made_first_and_an_epoch_set_again():
    """The order in which Lightning calls: load, iter, set_epoch, next."""
    loader, expected = _loader(), list(_loader())
    iterator = iter(loader)
    loader.load_state_dict({**loader.state_dict(), "position": 2})
    loader.set_epoch(0)
    assert _same(list(iterator), expected[2:])


def test_another_epoch_forgets_the_position():
    loader, other = _loader(), _loader()
    loader.load_state_dict({**loader.state_dict(), "epoch": 3, "position": 4})
    for each in (loader, other):
        each.set_epoch(4)
    assert loader.state_dict()["position"] == 0
    assert _same(list(loader), list(other))


def test_an_abandoned_iteration_leaves_no_trace():
    loader = _loader()
    expected = list(loader)
    next(iter(loader))
    assert _same(list(loader), expected)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("seed", {"seed": 6}),
        ("batch_size", {"batch_size": 4}),
        ("clouds", {"count": 11}),
        ("shuffle", {"shuffle": False}),
        ("drop_last", {"drop_last": True}),
        ("world_size", {"world_size": 2}),
    ],
)
def test_a_state_of_another_order_is_refused(name: str, other: dict):
    state = _loader().state_dict()
    with pytest.raises(ValueError, match=f"{name} must be .* to resume the saved data order"):
        _loader(**other).load_state_dict(state)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("shuffle", [True, False])
def test_ranks_take_equal_shares_that_cover_the_set(world_size: int, shuffle: bool):
    loaders = [_loader(shuffle=shuffle, rank=r, world_size=world_size) for r in range(world_size)]
    shares = [_seen(loader) for loader in loaders]
    assert len({len(loader) for loader in loaders}) == 1
    assert len({len(share) for share in shares}) == 1
    everything = [index for share in shares for index in share]
    assert set(everything) == set(range(10))
    assert len(everything) == 10 + -10 % world_size
    assert len(set(shares[0])) == len(shares[0])


def test_all_ranks_save_the_same_state():
    states = []
    for rank in range(2):
        loader = _loader(rank=rank, world_size=2)
        next(iterator := iter(loader))
        states.append(loader.state_dict())
        del iterator
    assert states[0] == states[1]
    assert states[0]["position"] == 1


def test_the_data_set_is_never_changed():
    clouds = _clouds()
    before = clouds.points.clone()
    loader = ResidentLoader(
        clouds, 4, shuffle=False, seed=0, transforms=(Normalize(), Scale(0.5, 2.0))
    )
    for batch in loader:
        batch.points.zero_()
    assert torch.equal(clouds.points, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"rank": 2, "world_size": 2}, "rank must be in 0 … world_size - 1 = 1, got 2"),
        ({"world_size": 0}, "world_size must be at least 1, got 0"),
        ({"batch_size": 11, "drop_last": True}, "batch_size must be at most the 10 clouds"),
        (
            {"transforms": (Scale(0.8, 1.2), Scale(0.9, 1.1))},
            "transforms must have different streams, got 'scale' twice",
        ),
    ],
)
def test_documented_errors(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        _loader(**options)


def test_two_of_a_kind_with_their_own_streams_draw_apart():
    loader = _loader(
        transforms=(Jitter(0.01, 1.0), Jitter(0.01, 1.0, stream="second jitter")), shuffle=False
    )
    first = _loader(transforms=(Jitter(0.01, 1.0),), shuffle=False)
    both, one = next(iter(loader)), next(iter(first))
    clean = _clouds().points[:3]
    assert not torch.allclose(both.points - one.points, one.points - clean, atol=1e-3)


def test_event_recordings_are_handed_out_whole():
    sizes = (3, 0, 5, 2)
    recordings = [
        Events.from_arrays([i] * n, [0] * n, range(n), [n % 2] * n, (1, 4))
        for i, n in enumerate(sizes)
    ]
    events = EventSet.from_recordings(
        recordings, [0, 1, 0, 1], class_names=("a", "b"), ids=tuple("abcd"), name="e", split="train"
    )
    loader = ResidentLoader(events, 3, shuffle=True, seed=1)
    seen = {}
    for batch in loader:
        for row, index in enumerate(batch.index.tolist()):
            part = slice(batch.offsets[row], batch.offsets[row + 1])
            seen[index] = (batch.x[part].tolist(), batch.labels[row].item())
    assert seen == {i: ([i] * n, i % 2) for i, n in enumerate(sizes)}
    with pytest.raises(ValueError, match="at most the 4 recordings of a process"):
        ResidentLoader(events, 5, shuffle=True, seed=1, drop_last=True)


@pytest.mark.gpu
def test_the_gpu_hands_out_the_same_clouds():
    here, there = _loader(count=40), _loader(count=40, device="cuda")
    for a, b in zip(here, there, strict=True):
        assert b.points.is_cuda and b.labels.is_cuda and b.index.is_cuda
        assert torch.equal(a.index, b.index.cpu())
        assert torch.allclose(a.points, b.points.cpu(), rtol=1e-6, atol=1e-6)
