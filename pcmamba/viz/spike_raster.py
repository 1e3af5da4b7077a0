"""Spikes of layers of neurons: who fires in which frame, and how many do."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from pcmamba.viz.figure import new_figure, save_figure
from pcmamba.viz.palette import LABELS

MOST_NEURONS = 160
_INCHES, _TITLE = 2.1, 0.9  # height of a layer, and above all


def save_spike_raster(
    path: str | os.PathLike[str],
    spikes: Mapping[str, np.ndarray],
    *,
    title: str = "",
    most_neurons: int = MOST_NEURONS,
) -> None:
    """Draw a raster of each layer with the firing rate of each frame beside it.

    Args:
        path: The PNG to write; its folder is made.
        spikes: For each layer by its name (T, ...) bool, with at least one frame and neuron.
        title: Above all.
        most_neurons: Neurons drawn of a layer, evenly chosen; rates are of all.

    Raises:
        ValueError: There is no layer, or a layer is empty.
        ImportError: matplotlib is missing.
    """
    if not spikes or any(fired.size == 0 for fired in spikes.values()):
        raise ValueError("spikes must hold layers with frames and neurons, got none")
    ink = tuple(LABELS[0] / 255)
    tall = _INCHES * len(spikes) + _TITLE
    figure = new_figure(9.0, tall)
    grid = figure.subplots(len(spikes), 2, width_ratios=(3, 1), squeeze=False)
    figure.subplots_adjust(hspace=0.75, wspace=0.22, top=1 - _TITLE / tall)
    figure.suptitle(title, fontsize=11, x=0.125, y=1 - 0.2 / tall, va="top", ha="left")
    for (raster, rates), (name, fired) in zip(grid, spikes.items(), strict=True):
        flat = fired.reshape(len(fired), -1)
        count = flat.shape[1]
        chosen = np.unique(np.linspace(0, count - 1, min(most_neurons, count)).round().astype(int))
        steps, neurons = np.nonzero(flat[:, chosen])
        raster.scatter(steps, neurons, s=9, marker="|", color=ink, linewidths=1.2)
        raster.set_xlim(-0.6, len(fired) - 0.4)
        raster.set_ylim(-1, len(chosen))
        shown = f"{len(chosen)} of {count:,}" if len(chosen) < count else f"{count:,}"
        raster.set_title(f"{name}: {shown} neurons", fontsize=8, loc="left")
        rates.plot(range(len(fired)), 100 * flat.mean(axis=1), marker="o", ms=3, color=ink)
        rates.set_ylim(bottom=0)
        rates.set_title(f"fires {flat.mean():.1%}", fontsize=8, loc="left")
        for axes in (raster, rates):
            axes.tick_params(labelsize=7)
            axes.set_xlabel("frame", fontsize=7)
            axes.spines[["top", "right"]].set_visible(False)
        rates.set_ylabel("% of neurons", fontsize=7)
    save_figure(figure, path)
