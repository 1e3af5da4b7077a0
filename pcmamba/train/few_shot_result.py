"""What few-shot runs came to: accuracies fold by fold, their mean, and two models compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pcmamba.train.statistics import paired_interval, population_std


@dataclass(frozen=True)
class FewShotScore:
    """Accuracies of one model.

    Attributes:
        name: Of the model.
        accuracies: Overall accuracy of each fold's last epoch, in [0, 1].
    """

    name: str
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return sum(self.accuracies) / len(self.accuracies)

    @property
    def std(self) -> float:
        """Population standard deviation over the folds."""
        return population_std(self.accuracies)


@dataclass(frozen=True)
class FewShotResult:
    """What came of the folds.

    Attributes:
        protocol: How the figures came about, in words.
        scores: One a model, the first compared with the second.
    """

    protocol: str
    scores: tuple[FewShotScore, ...]

    @property
    def differences(self) -> tuple[float, ...]:
        """First minus second model, fold by fold; empty for one model."""
        if len(self.scores) < 2:
            return ()
        first, second = (score.accuracies for score in self.scores)
        return tuple(a - b for a, b in zip(first, second, strict=True))

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        content: dict[str, Any] = {
            "protocol": self.protocol,
            "models": [
                {
                    "name": s.name,
                    "accuracies": s.accuracies,
                    "mean": s.mean,
                    "population_std": s.std,
                }
                for s in self.scores
            ],
        }
        if self.differences:
            content["difference"] = {
                "folds": self.differences,
                "mean": sum(self.differences) / len(self.differences),
                "population_std": population_std(self.differences),
                "interval_95": paired_interval(self.differences),
            }
        return content

    def table(self) -> str:
        """Return a line a fold, then mean ± population standard deviation, as text."""
        width = max(16, *(len(score.name) for score in self.scores))
        gaps = self.differences
        heads = [f"{s.name:>{width}}" for s in self.scores] + (["difference"] if gaps else [])
        lines = [self.protocol, "", "  ".join([f"{'fold':<6}", *heads])]
        for fold, row in enumerate(zip(*(s.accuracies for s in self.scores), strict=True)):
            cells = [f"{100 * value:{width - 2}.1f} %" for value in row]
            cells += [f"{100 * gaps[fold]:+8.1f} %"] if gaps else []
            lines.append("  ".join([f"{fold:<6}", *cells]))
        means = [f"{f'{100 * s.mean:.1f} ± {100 * s.std:.1f} %':>{width}}" for s in self.scores]
        lines.append("  ".join([f"{'mean':<6}", *means, *([_said(gaps)] if gaps else [])]))
        return "\n".join(lines)


def _said(gaps: Sequence[float]) -> str:
    mean, interval = 100 * sum(gaps) / len(gaps), paired_interval(gaps)
    if interval is None:
        return f"{mean:+8.1f} %"
    low, high = (100 * bound for bound in interval)
    return f"{mean:+8.1f} %, paired 95 % interval {low:+.1f} to {high:+.1f} %"
