"""A confusion matrix as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pcmamba.viz.figure import new_figure, save_figure


def save_confusion_png(
    path: str | os.PathLike[str], confusion: ArrayLike, class_names: Sequence[str]
) -> None:
    """Draw counts, coloured by their share of the row: true classes down, predicted across.

    Args:
        path: The PNG to write; its folder is made.
        confusion: (K, K) counts.
        class_names: K names.

    Raises:
        ValueError: The matrix does not fit the names.
        ImportError: matplotlib is missing.
    """
    counts, k = np.asarray(confusion), len(class_names)
    if counts.shape != (k, k):
        raise ValueError(f"confusion must be ({k}, {k}) for {k} classes, got {counts.shape}")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    edge = max(4.5, 1.8 + 0.28 * k)
    figure = new_figure(edge, edge)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    font = 9 if k <= 20 else 7
    axes.set_xticks(range(k), class_names, rotation=90, fontsize=font)
    axes.set_yticks(range(k), class_names, fontsize=font)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e4e4e4", linewidth=0.4)
    axes.tick_params(which="both", length=0)
    for row, column in zip(*counts.nonzero(), strict=True):
        color = "white" if shares[row, column] > 0.55 else "#333333"
        text = str(counts[row, column])
        axes.text(column, row, text, ha="center", va="center", fontsize=font - 1.5, color=color)
    overall = counts.trace() / max(counts.sum(), 1)
    axes.set_title(f"{overall:.1%} of {counts.sum():,} clouds", fontsize=11)
    save_figure(figure, path)
