"""Compare streams with the whole recording, and watch time and memory over a long one.

Usage: python tools/stream_check.py [MODEL] [--minutes M]

MODEL is the folder of a trained model whose scan runs online; without one a fresh spikmamba_small
with scan="frame" is used, its normalisations set so that neurons fire.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time

import numpy as np
import torch
from torch import Tensor

from pcmamba.data import Events
from pcmamba.models import Classifier, create_model
from pcmamba.models.spikmamba import SpikMamba
from pcmamba.models.stream import ClipStream
from pcmamba.testing.clips import make_clips, settle

SIDE, RATE, FRAME_US = 64, 20_000, 100_000
FRAMES, EVENTS = 130, 40_000


def load(folder: str | None) -> SpikMamba:
    """Return the model to check."""
    if folder is not None:
        model: SpikMamba = Classifier.from_pretrained(folder)
        return model
    torch.manual_seed(0)
    model = create_model("spikmamba_small", 10, in_channels=2, scan="frame", long_clips="wrap")
    settle(model, make_clips(4, 8, (SIDE, SIDE)))
    return model


def second(number: int, rate: int = RATE) -> Events:
    """Return one second of random events that follow those of the second before."""
    draw = np.random.default_rng(number)
    t = np.sort(draw.integers(0, 1_000_000, rate)) + 1_000_000 * number
    x, y = draw.integers(0, SIDE, (2, rate))
    return Events.from_arrays(x, y, t, draw.integers(0, 2, rate), (SIDE, SIDE))


@torch.no_grad()
def compare_frames(model: SpikMamba) -> None:
    """Print the largest difference of logits between pushes of frames and one call."""
    frames = make_clips(1, FRAMES, (SIDE, SIDE), seed=5)[:, :, : model.config.in_channels]
    whole: Tensor = model(frames)
    for size in (1, 7, 64):
        state = None
        for part in frames.split(size, dim=1):
            logits, state = model(part, state, True)
        print(f"pushes of {size:>4} frames: {float((logits - whole).abs().max()):.1e}")
    print(f"logits themselves: up to {float(whole.abs().max()):.2f}, {FRAMES} frames")


@torch.no_grad()
def compare_events(model: SpikMamba) -> None:
    """Print the largest difference of probabilities between pushes of events and one call."""
    events = second(0, EVENTS)
    whole = model(ClipStream(model, frame_us=FRAME_US).frames(events))[0].double().softmax(0)
    stream = ClipStream(model, frame_us=FRAME_US)
    bounds = [*events.t[::1000].tolist(), int(events.t[-1]) + 1]
    for begin, end in itertools.pairwise(bounds):
        stream.push(events.between(begin, end))
    found = stream.finish()
    assert found is not None
    difference = (torch.tensor(found.probabilities, dtype=torch.float64) - whole).abs().max()
    print(f"pushes of 1000 events: {float(difference):.1e} of probability, {found.frames} frames")


def watch(model: SpikMamba, minutes: int) -> None:
    """Print time for a second of recording and the process's largest memory, minute by minute."""
    stream = ClipStream(model, frame_us=FRAME_US)
    for minute in range(minutes):
        begin = time.perf_counter()
        for number in range(60 * minute, 60 * minute + 60):
            found = stream.push(second(number))
        spent = (time.perf_counter() - begin) / 60
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        assert found is not None
        print(
            f"minute {minute + 1:>2}: {found.frames} frames, {1e3 * spent:.0f} ms for a second, "
            f"peak {memory:.1f} MiB, {stream.held_events} events held",
            flush=True,
        )


def main() -> None:
    """Run all three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--minutes", type=int, default=10)
    arguments = parser.parse_args()
    model = load(arguments.model)
    compare_frames(model)
    compare_events(model)
    watch(model, arguments.minutes)


if __name__ == "__main__":
    main()
