"""Figures about how sure a measured figure is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats

from pcmamba.train.predictions import Predictions

BINS = 10


def calibration_error(found: Predictions) -> float:
    """Return the mean distance of confidence and accuracy over tenths of confidence.

    Source: Guo et al., On Calibration of Modern Neural Networks (2017), equation 3.
    """
    place = (found.confidence * BINS).long().clamp(max=BINS - 1)
    gap = found.confidence - (found.predicted == found.labels).double()
    sums = torch.zeros(BINS, dtype=torch.float64).index_add_(0, place, gap.double())
    return float(sums.abs().sum() / len(found))


def wilson(right: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % interval of a share from `right` of `count` independent answers.

    Source: Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    share, extra = right / count, z * z / count
    middle = (share + extra / 2) / (1 + extra)
    half = z * math.sqrt(share * (1 - share) / count + extra / (4 * count)) / (1 + extra)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def population_std(values: Sequence[float]) -> float:
    """Return the standard deviation with n in the denominator, as few-shot tables print it."""
    return float(np.std(np.asarray(values, dtype=np.float64)))


def paired_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean of paired differences, None for fewer than two.

    Student's t with n - 1 degrees of freedom, over pairs taken as independent.
    """
    values, count = np.asarray(differences, dtype=np.float64), len(differences)
    if count < 2:
        return None
    half = float(stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / math.sqrt(count))
    return float(values.mean()) - half, float(values.mean()) + half
