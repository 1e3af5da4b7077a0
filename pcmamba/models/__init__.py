"""Models, one file each."""

from pcmamba.models import pcm as _pcm
from pcmamba.models.classifier import PointClassifier, create_model, list_models
from pcmamba.models.preprocessing import Preprocessing
from pcmamba.models.registry import MODELS

__all__ = ["MODELS", "PointClassifier", "Preprocessing", "create_model", "list_models"]
