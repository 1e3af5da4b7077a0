"""Samples in one archive, for the process that opens a window: arrays and words, no objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pcmamba.viz.sample import Sample

_ARRAYS = ("points", "labels", "predicted_labels", "confidence", "colors")
_WORDS = ("title", "label_names", "class_name", "predicted_class", "class_names", "notes")


def write_samples(path: Path, samples: Sequence[Sample], options: dict[str, Any]) -> None:
    """Write samples and the options of the window, numbers and words, to an npz archive."""
    arrays: dict[str, np.ndarray] = {}
    for k, sample in enumerate(samples):
        for name in _ARRAYS:
            value = getattr(sample, name)
            if value is not None:
                arrays[f"{k}/{name}"] = np.asarray(value)
    words = [{name: getattr(sample, name) for name in _WORDS} for sample in samples]
    said = json.dumps({"samples": words, "options": options})
    np.savez(path, said=np.array(said), **arrays)  # type: ignore[arg-type]  # names of arrays


def read_samples(path: Path) -> tuple[list[Sample], dict[str, Any]]:
    """Read what `write_samples` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        said = json.loads(str(archive["said"]))
        arrays = {name: archive[name] for name in archive.files if name != "said"}
    samples = []
    for k, words in enumerate(said["samples"]):
        given: dict[str, Any] = {
            n: tuple(v) if isinstance(v, list) else v for n, v in words.items()
        }
        for name in _ARRAYS:
            if f"{k}/{name}" in arrays:
                given[name] = arrays[f"{k}/{name}"]
        if "confidence" in given and given["confidence"].ndim == 0:
            given["confidence"] = float(given["confidence"])
        samples.append(Sample(**given))
    return samples, said["options"]
