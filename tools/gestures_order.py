"""Print what a trained model of clips loses without the order of time.

python tools/gestures_order.py runs/gestures-spikmamba_small

The frames of each test recording of `gestures` are put in random order before the model sees them;
nothing else is changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

import pcmamba
from pcmamba.data import random
from pcmamba.data.batch import ClipBatch
from pcmamba.data.datasets.gestures import Gestures
from pcmamba.models import ClipClassifier
from pcmamba.train.datamodule import evaluation_loader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="folder of a finished run or of a saved model")
    parser.add_argument("--shuffles", type=int, default=3, help="random orders to try")
    parser.add_argument("--side", type=int, default=Gestures.side, help="as in training")
    args = parser.parse_args()
    model = pcmamba.load(args.model).model
    if not isinstance(model, ClipClassifier):
        parser.error(f"model must be one of clips, got {type(model).__name__}")
    gestures = Gestures(side=args.side)
    kept = accuracy(model, gestures, lambda batch: batch.frames)
    print(f"in order: {100 * kept:.1f} %")
    for seed in range(args.shuffles):
        lost = accuracy(model, gestures, lambda batch, seed=seed: shuffled(batch, seed))
        print(f"frames in random order {seed}: {100 * lost:.1f} %, {100 * (kept - lost):.1f} less")


def shuffled(batch: ClipBatch, seed: int) -> Tensor:
    """Return the frames (B, T, C, H, W) in an order of each recording's own."""
    order = random.permutation(seed, 0, batch.index, "frames", batch.frames.shape[1])
    rows = torch.arange(len(batch))[:, None]
    return batch.frames[rows, order]


@torch.no_grad()
def accuracy(
    model: ClipClassifier, gestures: Gestures, frames: Callable[[ClipBatch], Tensor]
) -> float:
    """Return the share of test recordings that are told rightly."""
    model.eval()
    right = 0
    test = gestures.load("test")
    for batch in evaluation_loader(test, model.preprocessing, 64, "cpu"):
        right += int((model(frames(batch)).argmax(dim=1) == batch.labels).sum())
    return right / len(test)


if __name__ == "__main__":
    main()
