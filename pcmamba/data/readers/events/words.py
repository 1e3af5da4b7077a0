"""Streams of words that change a state: what was last said before each word."""

from __future__ import annotations

import numpy as np


def last_before(is_said: np.ndarray) -> np.ndarray:
    """Return, for each word, the index of the last one so far that is marked, or -1.

    Args:
        is_said: (W,) bool.

    Returns:
        (W,) int64.
    """
    index = np.where(is_said, np.arange(len(is_said)), -1)
    return np.maximum.accumulate(index, out=index)


def at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return values (W,) at indices, where -1 stands for 0."""
    found: np.ndarray = np.where(index >= 0, values[np.maximum(index, 0)], 0)
    return found
