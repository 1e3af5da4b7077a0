"""Models, one file each."""

import importlib
import pkgutil

from pcmamba.models.classifier import (
    Classifier,
    ClipClassifier,
    PointClassifier,
    create_model,
    list_models,
)
from pcmamba.models.clip_preprocessing import ClipPreprocessing
from pcmamba.models.event_cloud_preprocessing import EventCloudPreprocessing
from pcmamba.models.preprocessing import Preprocessing
from pcmamba.models.registry import MODELS

__all__ = [
    "MODELS",
    "Classifier",
    "ClipClassifier",
    "ClipPreprocessing",
    "EventCloudPreprocessing",
    "PointClassifier",
    "Preprocessing",
    "create_model",
    "list_models",
]

# Every file here registers the models it defines: a new one needs no entry in a list.
for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
