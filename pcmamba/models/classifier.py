"""What every classification model shares: class names, preprocessing, saving and loading."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Literal

from huggingface_hub import ModelHubMixin, hf_hub_download
from torch import Tensor, nn

from pcmamba.models import weights
from pcmamba.models.clip_preprocessing import ClipPreprocessing, Representation
from pcmamba.models.preprocessing import Preprocessing
from pcmamba.models.registry import MODELS
from pcmamba.registry import unknown_name

Domain = Literal["clouds", "events"]

_HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "token")
# Of frames with so many channels, unless training says otherwise.
_REPRESENTATIONS: dict[int, Representation] = {1: "voxel", 2: "histogram", 3: "drawn"}


class Classifier(nn.Module, ModelHubMixin):
    """A network from a recording to class logits that carries what it needs to be used.

    Attributes:
        domain: What it classifies, clouds or recordings of events.
        name: Registered name it was built from.
        config: The dataclass with every architecture choice.
        class_names: Names of the outputs, in order; set by training.
        preprocessing: What the model expects of a recording; its `kind` is saved with it.
    """

    domain: ClassVar[Domain]
    name: str = ""
    config: Any
    class_names: tuple[str, ...]
    preprocessing: Any

    def default_preprocessing(self) -> Any:
        """Return the preprocessing of a model that was not trained yet."""
        raise NotImplementedError("a model defines its own preprocessing")

    def no_weight_decay(self) -> set[str]:
        """Return names of parameters that must not decay besides those with one axis."""
        return set()

    def _save_pretrained(self, save_directory: Path) -> None:
        config = {
            "format_version": weights.FORMAT_VERSION,
            "model": self.name,
            "config": dataclasses.asdict(self.config),
            "class_names": list(self.class_names),
            "preprocessing_kind": self.preprocessing.kind,
            "preprocessing": dataclasses.asdict(self.preprocessing),
        }
        weights.write_folder(Path(save_directory), self.state_dict(), config)

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, revision: str | None = None, **options: Any
    ) -> Classifier:
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
        model = _restore(saved, tensors)
        if not isinstance(model, cls):
            raise ValueError(f"{model_id} must hold a {cls.__name__}, got the model {model.name}")
        return model


class PointClassifier(Classifier):
    """A network from a cloud to class logits."""

    domain: ClassVar[Domain] = "clouds"
    preprocessing: Preprocessing

    def default_preprocessing(self) -> Preprocessing:
        """Return the preprocessing for as many points as the configuration says."""
        return Preprocessing(num_points=self.config.num_points)

    def forward(self, xyz: Tensor, features: Tensor | None = None) -> Tensor:
        """Map clouds (B, N, 3), with features (B, N, C) if the model takes any, to (B, classes)."""
        raise NotImplementedError("a model defines its own forward")


class ClipClassifier(Classifier):
    """A network from a clip of frames, made of events, to class logits.

    Its configuration has `num_frames`, `in_channels`, `image_hw` and `patch`.
    """

    domain: ClassVar[Domain] = "events"
    preprocessing: ClipPreprocessing

    def default_preprocessing(self) -> ClipPreprocessing:
        """Return the preprocessing for the frames that the configuration describes."""
        config = self.config
        return ClipPreprocessing(
            num_frames=config.num_frames,
            representation=_REPRESENTATIONS[config.in_channels],
            size_hw=config.image_hw,
            patch_size=config.patch,
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Map clips (B, T, C, H, W) to (B, classes)."""
        raise NotImplementedError("a model defines its own forward")


def _restore(saved: dict[str, Any], tensors: Path) -> Classifier:
    model = _build(saved["model"], saved["config"])
    weights.load_strictly(model, weights.read_weights(tensors), str(tensors))
    model.class_names = tuple(saved["class_names"])
    kind = saved.get("preprocessing_kind", Preprocessing.kind)  # early models: clouds alone
    if kind != model.preprocessing.kind:
        raise ValueError(
            f"preprocessing_kind of {model.name} must be {model.preprocessing.kind!r}, "
            f"got {kind!r} beside {tensors}"
        )
    model.preprocessing = type(model.preprocessing)(**_tuples(saved["preprocessing"]))
    return model.eval()


def create_model(
    name: str, num_classes: int, in_channels: int | None = None, **overrides: Any
) -> Classifier:
    """Build a registered classification model with fresh weights.

    Args:
        name: One of `list_models()`.
        num_classes: Outputs.
        in_channels: Channels of a cloud's features, where 3 takes the coordinates, or of a frame;
            None leaves the model's own.
        **overrides: Fields of the model's configuration that shall differ.

    Raises:
        ValueError: Unknown model, or a field the configuration does not have.

    Example:
        `create_model("pcm_tiny", num_classes=40, reference=True)`
    """
    channels = {} if in_channels is None else {"in_channels": in_channels}
    return _build(name, {"num_classes": num_classes, **channels, **overrides})


def _build(name: str, fields: dict[str, Any]) -> Classifier:
    config = MODELS[name]()
    known = {field.name for field in dataclasses.fields(config)}
    for field in fields:
        if field not in known:
            raise ValueError(unknown_name(f"option of {name}", field, known))
    model: Classifier = dataclasses.replace(config, **_tuples(fields)).build()
    model.name = name
    model.class_names = tuple(f"class_{i}" for i in range(model.config.num_classes))
    model.preprocessing = model.default_preprocessing()
    return model


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with tuples for the lists that YAML and JSON have instead."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def list_models() -> list[str]:
    """Return the names `create_model` takes, sorted."""
    return list(MODELS)
