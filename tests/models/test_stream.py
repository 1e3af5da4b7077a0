"""Streams: the same network frame by frame, the same recording in pieces of any size."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pcmamba.models import ClipPreprocessing, create_model
from pcmamba.models.stream import ClipStream
from pcmamba.nn import Neuron
from pcmamba.testing.clips import make_clips, settle

SMALL = {
    "num_frames": 4,
    "image_hw": (16, 16),
    "patch": 4,
    "channels": 16,
    "heads": 2,
    "in_channels": 2,
    "state_size": 4,
    "scan": "frame",
}
MODES: list[dict[str, Any]] = [
    {"scan": "frame"},
    {"scan": "forward", "long_clips": "wrap"},
    {"scan": "frame", "order": ("cts-xyz", "frame-hilbert"), "long_clips": "wrap"},
    {"scan": "forward", "order": "cts-yxz"},
    {"mamba": False},
    {"neuron": "relu"},
]


def small(**options: Any) -> nn.Module:
    torch.manual_seed(1)
    model = create_model("spikmamba_small", num_classes=5, **{**SMALL, **options})
    model.pos_time.data.normal_()
    return settle(model, make_clips(8, 4, (16, 16), seed=9))


def by_pushes(model: nn.Module, frames: Tensor, size: int) -> tuple[Tensor, list[Tensor], Any]:
    """The last logits, all spikes and the last state of pushes of `size` frames."""
    layers = [m for m in model.modules() if isinstance(m, Neuron)]
    found: dict[int, list[Tensor]] = {i: [] for i in range(len(layers))}
    hooks = [
        layer.register_forward_hook(lambda _m, _i, out, i=i: found[i].append(out[0]))
        for i, layer in enumerate(layers)
    ]
    state = None
    with torch.no_grad():
        for part in frames.split(size, dim=1):
            logits, state = model(part, state, True)
    for hook in hooks:
        hook.remove()
    return logits, [torch.cat(parts) for parts in found.values()], state


@pytest.mark.parametrize("options", MODES, ids=str)
def test_pushes_of_any_size_give_the_whole(options: dict[str, Any]) -> None:
    model, frames = small(**options), make_clips(2, 10, (16, 16))
    whole, spikes, _ = by_pushes(model, frames, 10)
    with torch.no_grad():
        assert torch.equal(model(frames), whole)
    for size in (1, 3):
        logits, fired, _ = by_pushes(model, frames, size)
        flips = sum(int((a != b).sum()) for a, b in zip(fired, spikes, strict=True))
        difference = float((logits - whole).abs().max())
        assert flips == 0, f"{flips} spikes differ in pushes of {size} frames"
        assert difference <= 1e-5, f"pushes of {size} frames: {difference:.2e}"


def test_a_restart_equals_separate_clips_and_a_wrap_does_not() -> None:
    frames = make_clips(1, 8, (16, 16))
    for rule, separate in (("restart", True), ("wrap", False)):
        model = small(long_clips=rule)
        with torch.no_grad():
            whole = model(frames)
            mean = (model(frames[:, :4]) + model(frames[:, 4:])) / 2
        assert bool((whole - mean).abs().max() < 1e-5) == separate


def test_the_state_does_not_grow() -> None:
    def tensors(state: Any) -> list[Tensor]:
        if isinstance(state, Tensor):
            return [state]
        return [t for part in state for t in tensors(part)] if isinstance(state, tuple) else []

    model, sizes = small(long_clips="wrap"), []
    for frames in (1, 9):
        state = by_pushes(model, make_clips(1, frames, (16, 16)), 1)[2]
        sizes.append([t.untyped_storage().nbytes() for t in tensors(state)])
    assert sizes[0] == sizes[1]
    # Patches, and in each of two blocks queries with keys, attention, both sides of the scan, the
    # scan's state and its tail; the sum of the features.
    assert len(sizes[0]) == 1 + 2 * 6 + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scan": "bi"}, "scan must be 'frame' or 'forward'.*the offline way"),
        ({"scan": "forward", "order": "hilbert"}, "order must visit .*frame-hilbert do"),
        ({"long_clips": "resize"}, "long_clips must be 'restart' or 'wrap'"),
    ],
    ids=str,
)
def test_what_needs_the_whole_clip_says_so(options: dict[str, Any], message: str) -> None:
    model = small(**options)
    with pytest.raises(NotImplementedError, match=message):
        model(make_clips(1, 4, (16, 16)), None, True)
    with pytest.raises(NotImplementedError, match=message):
        ClipStream(model)


def test_a_state_of_other_clips_is_refused() -> None:
    model = small()
    state = by_pushes(model, make_clips(2, 1, (16, 16)), 1)[2]
    with pytest.raises(ValueError, match="state must be of 3 clips, as frames, got 2"):
        model(make_clips(3, 1, (16, 16)), state)
    with pytest.raises(ValueError, match="state must be of frames with 8 tokens, got 16"):
        model(make_clips(2, 1, (8, 16)), state)


def recording(count: int = 400, start: int = 5_000, seed: int = 0) -> SimpleNamespace:
    draw = np.random.default_rng(seed)
    t = np.sort(draw.integers(0, 1_000_000, count))
    t[count // 2 :] += 300_000  # a time without events
    return SimpleNamespace(
        x=draw.integers(0, 16, count).astype(np.int16),
        y=draw.integers(0, 12, count).astype(np.int16),
        t=t,
        p=draw.integers(0, 2, count).astype(np.uint8),
        resolution_hw=(12, 16),
        t0=start,
    )


def piece(events: SimpleNamespace, first: int, last: int) -> SimpleNamespace:
    columns = {name: getattr(events, name)[first:last] for name in ("x", "y", "t", "p")}
    rebased = columns["t"] - columns["t"][:1]
    t0 = events.t0 + int(columns["t"][0]) if last > first else 0
    return SimpleNamespace(**{**vars(events), **columns, "t": rebased, "t0": t0})


@pytest.mark.parametrize("rule", [{"frame_us": 100_000}, {"frame_events": 31}], ids=str)
def test_pushes_of_any_number_of_events_give_the_batch(rule: dict[str, int]) -> None:
    model, events = small(), recording()
    with torch.no_grad():
        frames = ClipStream(model, **rule).frames(events)
        wanted = model(frames)[0].double().softmax(0)
    assert frames.shape[1] == 13
    results = []
    for size in (1, 101, 400):
        stream = ClipStream(model, **rule)
        for first in range(0, 400, size):
            stream.push(piece(events, first, min(first + size, 400)))
        found = stream.finish()
        assert found is not None
        assert found.frames == 13
        difference = float((torch.tensor(found.probabilities).double() - wanted).abs().max())
        assert difference <= 1e-5, f"pushes of {size} events: {difference:.2e}"
        results.append(found)
    # The last clip alone: the thirteenth frame is its first.
    with torch.no_grad():
        last = model(frames[:, 12:])[0].double().softmax(0)
    torch.testing.assert_close(torch.tensor(results[0].recent).double(), last, atol=1e-5, rtol=0)
    assert results[0].label == model.class_names[int(wanted.argmax())]


def test_predictions_come_after_whole_frames_alone() -> None:
    stream, events = ClipStream(small(), frame_us=100_000), recording()
    late = int(np.searchsorted(events.t, events.t[0] + 100_000))
    assert stream.push(piece(events, 0, 0)) is None
    assert stream.push(piece(events, 0, late)) is None
    assert stream.held_events == late
    found = stream.push(piece(events, late, late + 1))
    assert found is not None
    assert (found.frames, found.end_us) == (1, 5_000 + int(events.t[0]) + 100_000)
    assert stream.held_events == 1
    assert abs(sum(found.probabilities) - 1) < 1e-9
    stream.reset()
    assert stream.finish() is None


def test_frames_are_drawn_as_in_training() -> None:
    model, events = small(), recording(64)
    drawn = ClipStream(model, frame_events=16).frames(events)
    columns = [torch.from_numpy(getattr(events, name)) for name in ("x", "y", "t", "p")]
    training = model.preprocessing.frames(*columns, torch.tensor([0, 64]), (12, 16))
    assert isinstance(model.preprocessing, ClipPreprocessing)
    assert torch.equal(drawn, training)


def test_memory_is_constant_in_the_length_of_a_recording() -> None:
    stream, held = ClipStream(small(long_clips="wrap"), frame_us=100_000), []
    for second in range(6):
        events = recording(200, start=1_300_000 * second, seed=second)
        stream.push(events)
        held.append(stream.held_events)
    assert max(held) <= 40
    found = stream.finish()
    assert found is not None
    assert found.frames > 70


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"frame_us": 1, "frame_events": 1}, "frame_us or frame_events must be given, got both"),
        ({"frame_us": 0}, "frame_us must be at least 1, got 0"),
    ],
    ids=str,
)
def test_errors_of_a_rule(rule: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClipStream(small(), **rule)


def test_errors_of_pieces() -> None:
    stream, events = ClipStream(small()), recording()
    stream.push(piece(events, 100, 200))
    with pytest.raises(ValueError, match="events must not begin before the last piece's end"):
        stream.push(piece(events, 0, 10))
    with pytest.raises(ValueError, match=r"resolution_hw must stay \(12, 16\), got \(9, 16\)"):
        stream.push(SimpleNamespace(**{**vars(events), "resolution_hw": (9, 16)}))
    with pytest.raises(ValueError, match="events must not be empty, got none"):
        stream.frames(piece(events, 0, 0))
    model = small()
    model.preprocessing = ClipPreprocessing(representation="surface")
    with pytest.raises(NotImplementedError, match="representation must be drawn or histogram"):
        ClipStream(model)
