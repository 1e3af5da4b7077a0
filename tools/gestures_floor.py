"""Print how well pictures without time tell the simulated gestures: python tools/gestures_floor.py.

Each line is a nearest neighbour among the training recordings, asked for the test recordings. Two
classes are a pair if one is the other played backwards: a picture without time may tell the pair,
but not which of the two it is, which is right half the time.
"""

from __future__ import annotations

import argparse
import time

from pcmamba.data.datasets.gestures import Gestures
from pcmamba.testing.floor import nearest_labels, time_sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train-size", type=int, default=Gestures.train_size)
    parser.add_argument("--test-size", type=int, default=Gestures.test_size)
    parser.add_argument("--seed", type=int, default=Gestures.seed)
    args = parser.parse_args()
    gestures = Gestures(train_size=args.train_size, test_size=args.test_size, seed=args.seed)
    start = time.perf_counter()
    train, test = gestures.load("train"), gestures.load("test")
    seconds = time.perf_counter() - start
    print(f"{len(train)} and {len(test)} recordings in {seconds:.1f} s, ", end="")
    print(f"{(len(train.t) + len(test.t)) / (len(train) + len(test)):.0f} events each")
    print(f"{len(train.class_names)} classes, chance {100 / len(train.class_names):.1f} %")
    known, asked = time_sums(train), time_sums(test)
    for name in known:
        for power in (1, 2):
            told = nearest_labels(known[name], train.labels, asked[name], power)
            right, pair = told == test.labels, told // 2 == test.labels // 2
            print(
                f"{name}, L{power}: class {right.float().mean():.1%}, "
                f"pair {pair.float().mean():.1%}, of these {right[pair].float().mean():.1%} right"
            )


if __name__ == "__main__":
    main()
