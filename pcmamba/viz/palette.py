"""The colours of every picture, in one place, told apart by colour-blind eyes too.

Labels take the colours of Okabe and Ito first, then further ones that stay apart in OKLab as seen
with normal sight and without one of the three cones. Quantities take ramps of growing lightness.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bytes = NDArray[np.uint8]


def _table(text: str) -> Bytes:
    return np.frombuffer(bytes.fromhex("".join(text.split())), np.uint8).reshape(-1, 3)


# Okabe and Ito, "Color universal design" (2008), without black; after them the colour of a grid
# farthest from those before, white among them, under the matrices of Machado et al. (2009).
LABELS = _table(
    "0072b2 e69f00 009e73 cc79a7 56b4e9 d55e00 f0e442 872d0f 3c0fd2 a5e1b4 "
    "a569ff 694b69 b4b487 a54b2d 9600ff 00f0ff 780096 e1c369 965a78 3cd2ff"
)
UNLABELLED = _table("b8bcc2")[0]
RIGHT, WRONG = _table("aab4be"), _table("d7191c")

# Even steps of viridis, plasma and cividis, without ends too pale for a white ground.
RAMPS = {
    "height": _table(
        "471063 472a7a 414487 375b8d 2d708e 26828e 1f968b 24aa83 3dbc74 67cc5c 9bd93c d2e21b"
    ),
    "sequence": _table(
        "0d0887 38049a 5b01a5 7b02a8 99159f b32c8e c9447a db5c68 eb7556 f79044 fdae32 fcce25"
    ),
    "confidence": _table(
        "00224e 003171 2d416d 45506c 5a5f6e 6d6f72 807f78 958f77 aba072 c2b369 dbc75a f3db42"
    ),
}

# PointNet's colours of the classes of S3DIS (Qi et al., 2017), which papers' figures follow. Red,
# green and blue stand beside each other in them: `palette="safe"` takes ours instead.
PUBLISHED = (
    {
        "ceiling": (0, 255, 0),
        "floor": (0, 0, 255),
        "wall": (0, 255, 255),
        "beam": (255, 255, 0),
        "column": (255, 0, 255),
        "window": (100, 100, 255),
        "door": (200, 200, 100),
        "table": (170, 120, 200),
        "chair": (255, 0, 0),
        "sofa": (200, 100, 100),
        "bookcase": (10, 200, 100),
        "board": (200, 200, 200),
        "clutter": (50, 50, 50),
    },
)


def label_table(names: Sequence[str], palette: str = "auto") -> Bytes:
    """Return one colour (K, 3) a name: as published for exactly these names, else ours in turn.

    Raises:
        ValueError: `palette` is neither "auto" nor "safe".
    """
    if palette not in ("auto", "safe"):
        raise ValueError(f"palette must be 'auto' or 'safe', got {palette!r}")
    for published in PUBLISHED if palette == "auto" else ():
        if set(names) == set(published):
            return np.array([published[name] for name in names], np.uint8)
    return LABELS[np.arange(len(names)) % len(LABELS)]


def by_label(labels: ArrayLike, table: Bytes = LABELS) -> Bytes:
    """Return colours (N, 3) of labels (N,): the table in turn, grey below 0."""
    given = np.asarray(labels)
    return np.where((given < 0)[:, None], UNLABELLED, table[given % len(table)])


def by_value(
    values: ArrayLike, ramp: str, low: float | None = None, high: float | None = None
) -> Bytes:
    """Return colours (N, 3) of values (N,) along a ramp, between their extremes or those given."""
    given = np.asarray(values, dtype=np.float64)
    low = float(given.min()) if low is None else low
    high = float(given.max()) if high is None else high
    place = np.clip((given - low) / ((high - low) or 1.0), 0.0, 1.0) * (len(RAMPS[ramp]) - 1)
    knots = np.arange(len(RAMPS[ramp]))
    channels = [np.interp(place, knots, RAMPS[ramp][:, c].astype(np.float64)) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def by_height(height: ArrayLike) -> Bytes:
    """Return colours (N, 3) of heights (N,)."""
    return by_value(height, "height")


def to_hex(color: Any) -> str:
    """Write a colour of three bytes as #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*(int(channel) for channel in color))
