"""A cloud in a notebook: one call, a figure that turns."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from pcmamba.viz.cloud_page import cloud_page
from pcmamba.viz.sample import Sample
from pcmamba.viz.save import replace_file

HEIGHT = 560


@dataclass(frozen=True)
class Figure:
    """A page that notebooks show below the cell.

    Attributes:
        content: The whole page; it needs nothing from outside.
        height: Of the frame in a notebook, in pixels.
    """

    content: str
    height: int = HEIGHT

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.content)}" width="100%" height="{self.height}" '
            'style="border: 1px solid #e5e7eb; border-radius: 6px"></iframe>'
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file that opens in any browser."""
        replace_file(Path(path), lambda to: to.write_text(self.content, encoding="utf-8"))


def show(
    points: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    predicted: ArrayLike | None = None,
    names: tuple[str, ...] | list[str] = (),
    color: str = "auto",
    order: str = "hilbert",
    title: str = "",
) -> Figure:
    """Show a cloud, z up, in a notebook.

    Args:
        points: (N, 3) or more columns, any unit; the first three are x, y, z.
        labels: (N,) integers, below 0 for none.
        predicted: (N,) integers, shown beside the labels.
        names: Name of each label.
        color: class, part, height, error or sequence; "auto": labels where given, else height.
        order: For "sequence": the order of the points.
        title: Shown above.

    Raises:
        ValueError: A shape does not fit, or the colouring has nothing to show.
    """
    table = np.asarray(points)
    if table.ndim != 2 or table.shape[1] < 3:
        raise ValueError(f"points must be (N, 3), got {table.shape}")
    sample = Sample(
        points=np.ascontiguousarray(table[:, :3], np.float32),
        title=title,
        labels=None if labels is None else np.asarray(labels).astype(np.int64),
        predicted_labels=None if predicted is None else np.asarray(predicted).astype(np.int64),
        label_names=tuple(names),
    )
    return Figure(cloud_page([sample], color=color, order=order))
