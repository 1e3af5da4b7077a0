"""What moves a classifier's result that should not: batch-mates, order, duplicates, device, dtype.

Each probe changes one thing about the same clouds and compares logits with each cloud's own, run
alone on the same device in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from pcmamba.models import Classifier

BATCH_SIZES = (2, 8, 32)
SCALES = (0.9, 1.1)
SHIFT = (0.1, -0.05, 0.2)


@dataclass(frozen=True)
class Probe:
    """How far one change moves the logits.

    Attributes:
        name: What was changed.
        largest: Largest difference of a logit.
        relative: The same over the standard deviation of all logits.
        flipped: Share of clouds whose first class changed, in [0, 1].
        expected: Whether a model may depend on it at all ("no", "rounding", "model").
    """

    name: str
    largest: float
    relative: float
    flipped: float
    expected: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return asdict(self)


@torch.no_grad()
def audit(model: Classifier, clouds: Tensor, *, seed: int = 0) -> list[Probe]:
    """Probe a classifier on clouds.

    Args:
        model: Runs where its parameters are; left in the mode it was in.
        clouds: (N, P, 3) normalised clouds on the model's device, N >= 2; at best unlike classes
            next to each other.
        seed: Of the permutations.

    Returns:
        One probe for each change: order and size of the batch, the mates in it, order of the
        points, duplicated points, scale, rigid shift, the other device, bfloat16.

    Raises:
        ValueError: Fewer than two clouds, or the model takes none.
    """
    if model.domain != "clouds":
        raise ValueError(
            f"model must take clouds, got {model.name}, which takes {model.domain}: "
            "its changes are those of a point cloud"
        )
    if clouds.dim() != 3 or len(clouds) < 2:
        raise ValueError(f"clouds must be (N, P, 3) with N >= 2, got {tuple(clouds.shape)}")
    training = model.training
    model.eval()
    try:
        alone = _alone(model, clouds)
        return [
            _compare(name, alone, moved, expected)
            for name, moved, expected in _changed(model, clouds, alone, seed)
        ]
    finally:
        model.train(training)


def _changed(
    model: Classifier, clouds: Tensor, alone: Tensor, seed: int
) -> Iterator[tuple[str, Tensor, str]]:
    """Yield what was changed, the logits after it and whether a model may depend on it."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(clouds), generator=generator).to(clouds.device)
    for size in BATCH_SIZES:
        if size <= len(clouds):
            yield f"batch of {size}", _batched(model, clouds, size), "no"
    undo = order.argsort()
    yield "batch shuffled", _batched(model, clouds[order], BATCH_SIZES[-1])[undo], "no"
    yield "batch-mates scaled by 3", _with_mates(model, clouds, lambda c: 3 * c), "no"
    points = torch.randperm(clouds.shape[1], generator=generator).to(clouds.device)
    yield "points permuted", _alone(model, clouds[:, points]), "model"
    first = clouds[:, : max(1, clouds.shape[1] // 8)]
    yield "an eighth of the points twice", _alone(model, torch.cat([clouds, first], 1)), "model"
    for scale in SCALES:
        yield f"scaled by {scale:g}", _alone(model, scale * clouds), "model"
    shift = clouds.new_tensor(SHIFT)
    yield "shifted by (0.1, -0.05, 0.2)", _alone(model, clouds + shift), "model"
    yield from _elsewhere(model, clouds)


def _elsewhere(model: Classifier, clouds: Tensor) -> Iterator[tuple[str, Tensor, str]]:
    device = clouds.device
    if device.type == "cuda":
        model.to("cpu")
        try:
            yield "CPU for GPU", _alone(model, clouds.cpu()).to(device), "rounding"
        finally:
            model.to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        low = _alone(model, clouds)
    yield "bfloat16 for float32", low, "rounding"


def _alone(model: Classifier, clouds: Tensor) -> Tensor:
    return torch.cat([model(cloud[None]).float() for cloud in clouds])


def _batched(model: Classifier, clouds: Tensor, size: int) -> Tensor:
    return torch.cat([model(part).float() for part in clouds.split(size)])


def _with_mates(model: Classifier, clouds: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Run each cloud behind its changed predecessor."""
    mates = change(clouds.roll(1, dims=0))
    pairs = torch.stack([mates, clouds], dim=1)
    return torch.cat([model(pair)[1:].float() for pair in pairs])


def _compare(name: str, alone: Tensor, moved: Tensor, expected: str) -> Probe:
    largest = (moved - alone).abs().max().item()
    spread = alone.std().item()
    flipped = (moved.argmax(1) != alone.argmax(1)).double().mean().item()
    return Probe(name, largest, largest / spread if spread else 0.0, flipped, expected)
