"""Training curves as a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pcmamba.viz.figure import new_figure, save_figure
from pcmamba.viz.palette import LABELS, to_hex

PANELS = {
    "loss": (("train/loss", "training"), ("val/loss", "validation")),
    "accuracy": (("train/accuracy", "training"), ("val/accuracy", "validation")),
    "learning rate": (("lr", "learning rate"),),
}


def save_curves_png(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw loss, accuracy and learning rate over the epochs.

    Args:
        path: The PNG to write; its folder is made.
        rows: One mapping an epoch, as in a run's `metrics.csv`; empty entries are left out.

    Raises:
        ImportError: matplotlib is missing.
    """
    figure = new_figure(12.0, 3.4)
    for axes, (title, lines) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for number, (column, label) in enumerate(lines):
            drawn = [row for row in rows if row.get(column) not in (None, "")]
            epochs = [int(row["epoch"]) for row in drawn]
            values = [float(row[column]) for row in drawn]
            if drawn:
                axes.plot(
                    epochs,
                    values,
                    color=to_hex(LABELS[number]),
                    label=label,
                    marker=".",
                    markersize=4,
                )
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("epoch")
        axes.grid(color="#e8e8e8", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if len(axes.get_legend_handles_labels()[0]) > 1:
            axes.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    save_figure(figure, path)
