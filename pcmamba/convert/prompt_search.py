"""Which block of prompt rows belongs to which order, found by trying.

The released code numbers its orders by the iteration order of a Python set, which differs from
process to process, and stores the numbers nowhere. Weights trained in one process have one true
map, and it classifies best; weights trained by several processes have none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from pcmamba.models import Classifier
from pcmamba.models.pcm import PROMPTS, PCMConfig, PCMStage

Batches = Iterable[tuple[Tensor, Tensor]]
MOST_MAPS = math.factorial(7)


def search_prompt_blocks(
    model: Classifier, score: Callable[[Classifier], float], *, exhaustive: bool = False
) -> dict[str, int]:
    """Find the map from orders to blocks of prompt rows that scores best.

    Every (order, block) pair is scored alone, while the other orders get the mean of all blocks,
    and the best assignment by the sum of these scores is taken. Swaps of two blocks that score
    higher still are made until none does. `pcm_tiny` takes 36 scores and at least 15 more.

    Args:
        model: With prompts; put back as it was, whatever happens.
        score: Returns a number for the model with a map in place, higher is better.
        exhaustive: Score every map instead: 720 for `pcm_tiny`.

    Returns:
        Block of each order, as `PCMConfig.prompt_blocks`.

    Raises:
        ValueError: The model has no prompts, or `exhaustive` means more than 5040 maps.
    """
    config, table = model.config, getattr(model, "prompts", None)
    if not isinstance(config, PCMConfig) or table is None:
        raise ValueError(f"model must have order prompts to search among, got {model.name}")
    orders = tuple(dict.fromkeys(config.layer_orders))
    if exhaustive and math.factorial(len(orders)) > MOST_MAPS:
        raise ValueError(
            f"exhaustive must be False for {len(orders)} orders, got True: "
            f"{math.factorial(len(orders))} maps; the search by probes takes them"
        )
    before = [stage.prompt_rows for stage in _stages(model)]
    neutral = table.detach().view(len(orders), PROMPTS, -1).mean(0)
    model.prompts = nn.Parameter(torch.cat([table.detach(), neutral]))
    try:
        with torch.inference_mode():
            found = (_best_of_all if exhaustive else _best_of_probes)(model, orders, score)
    finally:
        model.prompts = table
        for stage, rows in zip(_stages(model), before, strict=True):
            stage.prompt_rows = rows
    return dict(zip(orders, found, strict=True))


def accuracy_on(batches: Batches) -> Callable[[Classifier], float]:
    """Return a score: accuracy on labelled batches, ties broken by the mean right probability.

    Raises:
        ValueError: There are no clouds.
    """
    kept = list(batches)
    count = sum(len(labels) for _, labels in kept)
    if count == 0:
        raise ValueError("batches must hold at least one labelled cloud, got none")

    def score(model: Classifier) -> float:
        right = sure = 0.0
        for xyz, labels in kept:
            logits = model(xyz).float()
            right += float((logits.argmax(1) == labels).sum())
            sure += float(logits.softmax(1).gather(1, labels[:, None]).sum())
        return right / count + sure / count / (count + 1)

    return score


def _stages(model: Classifier) -> Iterator[PCMStage]:
    return (module for module in model.modules() if isinstance(module, PCMStage))


def _score(
    model: Classifier,
    orders: tuple[str, ...],
    blocks: Iterable[int],
    score: Callable[[Classifier], float],
) -> float:
    rows = {order: PROMPTS * block for order, block in zip(orders, blocks, strict=True)}
    for stage in _stages(model):
        stage.prompt_rows = rows
    return float(score(model))


def _best_of_all(
    model: Classifier, orders: tuple[str, ...], score: Callable[[Classifier], float]
) -> tuple[int, ...]:
    maps = itertools.permutations(range(len(orders)))
    return max(maps, key=lambda blocks: _score(model, orders, blocks, score))


def _best_of_probes(
    model: Classifier, orders: tuple[str, ...], score: Callable[[Classifier], float]
) -> tuple[int, ...]:
    count = len(orders)
    scores = np.empty((count, count))
    for order, block in itertools.product(range(count), repeat=2):
        probe = [count] * count  # the mean of all blocks
        probe[order] = block
        scores[order, block] = _score(model, orders, probe, score)
    blocks = [int(block) for block in linear_sum_assignment(scores, maximize=True)[1]]
    return _climb(model, orders, blocks, score)


def _climb(
    model: Classifier,
    orders: tuple[str, ...],
    blocks: list[int],
    score: Callable[[Classifier], float],
) -> tuple[int, ...]:
    """Swap two blocks as long as it scores higher."""
    best, better = _score(model, orders, blocks, score), True
    while better:
        better = False
        for i, j in itertools.combinations(range(len(orders)), 2):
            swapped = list(blocks)
            swapped[i], swapped[j] = blocks[j], blocks[i]
            value = _score(model, orders, swapped, score)
            if value > best:
                blocks, best, better = swapped, value, True
    return tuple(blocks)
