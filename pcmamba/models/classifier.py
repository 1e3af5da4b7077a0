"""What every classification model shares: class names, preprocessing, saving and loading."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, hf_hub_download
from torch import Tensor, nn

from pcmamba.models import weights
from pcmamba.models.preprocessing import Preprocessing
from pcmamba.models.registry import MODELS
from pcmamba.registry import unknown_name

_HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "token")


class PointClassifier(nn.Module, ModelHubMixin):
    """A network from a cloud to class logits that carries what it needs to be used.

    Attributes:
        name: Registered name it was built from.
        config: The dataclass with every architecture choice.
        class_names: Names of the outputs, in order; set by training.
        preprocessing: What the model expects of a cloud.
    """

    name: str = ""
    config: Any
    class_names: tuple[str, ...]
    preprocessing: Preprocessing

    def forward(self, xyz: Tensor, features: Tensor | None = None) -> Tensor:
        """Map clouds (B, N, 3), with features (B, N, C) if the model takes any, to (B, classes)."""
        raise NotImplementedError("a model defines its own forward")

    def no_weight_decay(self) -> set[str]:
        """Return names of parameters that must not decay besides those with one axis."""
        return set()

    def _save_pretrained(self, save_directory: Path) -> None:
        config = {
            "format_version": weights.FORMAT_VERSION,
            "model": self.name,
            "config": dataclasses.asdict(self.config),
            "class_names": list(self.class_names),
            "preprocessing": dataclasses.asdict(self.preprocessing),
        }
        weights.write_folder(Path(save_directory), self.state_dict(), config)

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, revision: str | None = None, **options: Any
    ) -> PointClassifier:
        hub = {key: options.pop(key, None) for key in _HUB_OPTIONS}
        files = (weights.CONFIG, weights.WEIGHTS)
        if Path(model_id).is_dir():
            config, tensors = (Path(model_id) / name for name in files)
        else:
            config, tensors = (
                Path(hf_hub_download(model_id, name, revision=revision, **hub)) for name in files
            )
        for path in (config, tensors):
            if not path.is_file():
                raise FileNotFoundError(f"{path} must exist: it is part of a saved model")
        saved = weights.read_config(config)
        # The mixin also hands over the entries of config.json.
        for name in options.keys() - saved.keys() - {"config"}:
            raise ValueError(unknown_name("option of from_pretrained", name, _HUB_OPTIONS))
        return _restore(saved, tensors)


def _restore(saved: dict[str, Any], tensors: Path) -> PointClassifier:
    model = _build(saved["model"], saved["config"])
    weights.load_strictly(model, weights.read_weights(tensors), str(tensors))
    model.class_names = tuple(saved["class_names"])
    model.preprocessing = Preprocessing(**saved["preprocessing"])
    return model.eval()


def create_model(
    name: str, num_classes: int, in_channels: int = 3, **overrides: Any
) -> PointClassifier:
    """Build a registered classification model with fresh weights.

    Args:
        name: One of `list_models()`.
        num_classes: Outputs.
        in_channels: Channels of the features; 3 takes the coordinates.
        **overrides: Fields of the model's configuration that shall differ.

    Raises:
        ValueError: Unknown model, or a field the configuration does not have.

    Example:
        `create_model("pcm_tiny", num_classes=40, reference=True)`
    """
    return _build(name, {"num_classes": num_classes, "in_channels": in_channels, **overrides})


def _build(name: str, fields: dict[str, Any]) -> PointClassifier:
    config = MODELS[name]()
    known = {field.name for field in dataclasses.fields(config)}
    for field in fields:
        if field not in known:
            raise ValueError(unknown_name(f"option of {name}", field, known))
    lists_to_tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    model = dataclasses.replace(config, **lists_to_tuples).build()
    model.name = name
    model.class_names = tuple(f"class_{i}" for i in range(model.config.num_classes))
    model.preprocessing = Preprocessing(num_points=model.config.num_points)
    return model


def list_models() -> list[str]:
    """Return the names `create_model` takes, sorted."""
    return list(MODELS)
