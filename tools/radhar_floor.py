"""Print how far simple statistics tell the radar activities: python tools/radhar_floor.py ROOT.

A nearest neighbour among the training windows, asked for the test windows. A window is described by
the mean and the spread of each column, how many points it has, and how many of them move.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from pcmamba.data.datasets.radhar import RadarWindow, RadHar
from pcmamba.testing.floor import nearest_neighbour


def describe(windows: list[RadarWindow]) -> torch.Tensor:
    """Return (S, 12) float32 statistics."""
    rows = []
    for window in windows:
        points = window.points.astype(np.float64)
        moving = (points[:, 3] != 0).mean()
        rows.append([*points.mean(axis=0), *points.std(axis=0), len(points), moving])
    return torch.tensor(rows, dtype=torch.float32)


def main() -> None:
    """Read both splits and print the share of right answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", help="the folder of Train and Test")
    made = RadHar(parser.parse_args().root)
    (train, _), (test, _) = made.windows("train"), made.windows("test")
    known, asked = describe(train), describe(test)
    # Every statistic by its own spread, or the number of points would decide alone.
    mean, spread = known.mean(dim=0), known.std(dim=0)
    known, asked = (known - mean) / spread, (asked - mean) / spread
    labels = [torch.tensor([window.label for window in split]) for split in (train, test)]
    print(f"{len(train)} and {len(test)} windows, chance 20.0 %")
    for power in (1, 2):
        share = nearest_neighbour(known, labels[0], asked, labels[1], power)
        print(f"nearest neighbour on simple statistics, L{power}: {100 * share:.1f} %")


if __name__ == "__main__":
    main()
