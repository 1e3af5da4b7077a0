"""Ask a trained model what a cloud is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pcmamba.data.readers import read_points
from pcmamba.models import Classifier
from pcmamba.train.event_predictor import EventPredictor
from pcmamba.train.graph import GraphedForward
from pcmamba.train.prediction import Prediction, best_classes
from pcmamba.train.run_folder import MODEL, is_run

Points = str | os.PathLike[str] | np.ndarray | Tensor


@dataclass(frozen=True)
class Prepared:
    """A cloud as the model takes it: points (N, 3) float32, and what was done to it."""

    points: Tensor
    note: str
    source: str


class Predictor:
    """A trained model that answers for files and arrays; made by `pcmamba.load`.

    Args:
        model: Put into evaluation mode; runs where its parameters are.
    """

    def __init__(self, model: Classifier) -> None:
        self.model = model.eval()
        self._forward = GraphedForward(model)

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return next(self.model.parameters()).device

    def predict(
        self, points: Points, *, up_axis: str | None = None, top: int = 5, seed: int = 0
    ) -> Prediction:
        """Classify one cloud of any number of points; no label is needed.

        Above the number of points the model was trained on, that many are drawn by `seed`; below
        it, all are used. The note of the result says which.

        Args:
            points: File, or (N, 3) coordinates in any unit, further columns ignored.
            up_axis: Axis that points up in the data; None: what the file says, else z.
            top: Most classes named.
            seed: Of the choice of points.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file or array holds no usable cloud, `top` or `up_axis` is out of range.
        """
        return self.predict_many([points], up_axis=up_axis, top=top, seed=seed)[0]

    def predict_many(
        self,
        clouds: Iterable[Points],
        *,
        up_axis: str | None = None,
        top: int = 5,
        seed: int = 0,
        batch_size: int = 1,
    ) -> list[Prediction]:
        """Classify several clouds; arguments as in `predict`.

        Args:
            clouds: Files or arrays.
            up_axis: See `predict`.
            top: See `predict`.
            seed: See `predict`; each cloud's points are drawn from it alone.
            batch_size: Clouds at a time. 1 gives a cloud the same probabilities, bit for bit,
                whatever else is asked; more is faster on a GPU and the same to rounding.

        Returns:
            One prediction for each cloud, in order.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        prepared = [self.prepare(cloud, up_axis=up_axis, seed=seed) for cloud in clouds]
        results: dict[int, Prediction] = {}
        for rows in _equal_sizes(prepared, batch_size):
            probabilities = self._probabilities(torch.stack([prepared[i].points for i in rows]))
            for row, row_probabilities in zip(rows, probabilities, strict=True):
                results[row] = self._result(prepared[row], row_probabilities, top)
        return [results[i] for i in range(len(prepared))]

    def prepare(self, points: Points, *, up_axis: str | None = None, seed: int = 0) -> Prepared:
        """Read, turn, sample and normalise a cloud as the model expects it; see `predict`."""
        xyz, source, file_axis, notes = _coordinates(points)
        preprocessing, count = self.model.preprocessing, len(xyz)
        axis = up_axis or file_axis
        kept = preprocessing.sample(preprocessing.to_frame(xyz, axis), seed)
        frame = f"taken as {axis} up" if axis else "up axis not given, taken as z up"
        said = _said(len(kept), count, preprocessing.num_points)
        return Prepared(preprocessing.normalize(kept), "; ".join([said, frame, *notes]), source)

    def _probabilities(self, points: Tensor) -> Tensor:
        try:
            logits = self._forward(points.to(self.device))
        except ValueError as error:
            raise ValueError(
                f"points must be enough for the model's local groups, got {points.shape[1]}: "
                f"{error}"
            ) from error
        return logits.double().softmax(dim=1).cpu()

    def _result(self, prepared: Prepared, probabilities: Tensor, top: int) -> Prediction:
        names, shares = best_classes(self.model, probabilities, top)
        return Prediction(names, shares, len(prepared.points), prepared.note, prepared.source)


def load(
    path: str | os.PathLike[str], device: str | torch.device | None = None
) -> Predictor | EventPredictor:
    """Load a trained model to predict with: of clouds a `Predictor`, of events `EventPredictor`.

    Args:
        path: Folder of a finished run, a folder that `save_pretrained` wrote, or the name of a
            model on the Hugging Face hub.
        device: Where it runs; None: a GPU if there is one.

    Raises:
        FileNotFoundError: There is no such folder, or the run has not saved a model yet.
        ValueError: The folder holds no model of this library, or its weights do not fit.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    found = find_model(path)
    try:
        model = Classifier.from_pretrained(str(found))
    except OSError as error:
        if isinstance(found, Path):
            raise
        first = str(error).splitlines()[0]
        raise FileNotFoundError(
            f"{path} must be the folder of a model or a model on the Hugging Face hub, got {first}"
        ) from error
    model = model.to(device)
    return Predictor(model) if model.domain == "clouds" else EventPredictor(model)


def load_of_clouds(
    path: str | os.PathLike[str], device: str | torch.device | None = None
) -> Predictor:
    """Load a trained model of clouds; see `load`.

    Raises:
        ValueError: It is a model of events.
    """
    predictor = load(path, device)
    if isinstance(predictor, EventPredictor):
        raise ValueError(f"{path} must be a model of clouds, got {predictor.model.name} of events")
    return predictor


def find_model(path: str | os.PathLike[str]) -> str | Path:
    """Return the model's folder for a run or a saved model, or the name on the hub as it is.

    Raises:
        FileNotFoundError: There is no such folder, or the run has not saved a model yet.
    """
    folder = Path(path)
    if is_run(folder):
        if (folder / MODEL).is_dir():
            return folder / MODEL
        raise FileNotFoundError(
            f"{folder} must be a finished run: finish it with `pcmamba train --resume {folder}`, "
            f"or take {folder / 'checkpoints' / 'best'} if it is there"
        )
    if folder.is_dir():
        return folder
    name = str(path)
    # `runs/typo` is meant as a folder where `runs` is one, `owner/name` as a model on the hub.
    if name.count("/") == 1 and not name.startswith((".", "/", "~")) and not folder.parent.is_dir():
        return name
    raise FileNotFoundError(f"{path} must be the folder of a run or of a saved model, found none")


def find_run(path: str | os.PathLike[str]) -> Path | None:
    """Return the run that a model's folder belongs to: itself or one of two levels above."""
    folder = Path(path).resolve()
    return next((place for place in (folder, *folder.parents[:2]) if is_run(place)), None)


def _coordinates(points: Points) -> tuple[Tensor, str, str | None, tuple[str, ...]]:
    """Return (N, 3) float32, the source, the up axis that the file states, the reader's notes."""
    if isinstance(points, str | os.PathLike):
        cloud = read_points(points)
        xyz = torch.from_numpy(np.ascontiguousarray(cloud.xyz))
        return xyz, str(points), cloud.up_axis, cloud.notes
    array = torch.as_tensor(points).detach().cpu()
    if array.ndim != 2 or array.shape[1] < 3 or len(array) == 0:
        raise ValueError(f"points must be (N, 3) with N >= 1, got {tuple(array.shape)}")
    xyz = array[:, :3].to(torch.float32)
    if not torch.isfinite(xyz).all():
        raise ValueError("points must be finite, got NaN or infinity")
    return xyz, "", None, ()


def _said(kept: int, count: int, wanted: int) -> str:
    if kept < count:
        return f"sampled {kept:,} of {count:,} points"
    if count < wanted:
        return f"used all {count:,} points, fewer than the {wanted:,} the model was trained on"
    return f"used all {count:,} points"


def _equal_sizes(prepared: Sequence[Prepared], batch_size: int) -> Iterator[list[int]]:
    by_size: dict[int, list[int]] = {}
    for row, cloud in enumerate(prepared):
        by_size.setdefault(len(cloud.points), []).append(row)
    for rows in by_size.values():
        for first in range(0, len(rows), batch_size):
            yield rows[first : first + batch_size]
