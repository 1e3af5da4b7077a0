"""Recipes: everything one training run is made of, as typed dataclasses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class ModelConfig:
    """Which network.

    Attributes:
        name: One of `pcmamba models`.
        overrides: Fields of the model's configuration that shall differ.
        init_from: Saved model or finished run whose weights the training starts from.
    """

    name: str = "pcm_tiny"
    overrides: dict[str, Any] = field(default_factory=dict)
    init_from: str | None = None


@dataclass(frozen=True)
class DataConfig:
    """Which clouds or event recordings, and what is done to them.

    Attributes:
        name: One of `pcmamba data list`.
        root: Folder with the data; built-in sets need none.
        options: Further options of the data set.
        preprocessing: What a model of events makes of a recording: fields of `ClipPreprocessing`
            (`num_frames`, `slicing`, `representation`, `size_hw`, …) or, for the point models, of
            `EventCloudPreprocessing` (`num_events`, …); kept with the model.
        num_points: Points of a cloud that the model gets.
        centre: Move the mean of those points to the origin; kept with the model.
        scale: "unit_sphere" divides by the largest distance from the origin; kept with the model.
        batch_size: Clouds or recordings of a training step, on each device.
        eval_batch_size: Clouds or recordings of an evaluation step.
        augment: Transforms in training, in order, each `{name: {option: value}}`; of events those
            of recordings first, then those of clips.
        val_fraction: Share of the training split kept apart to pick the best checkpoint, class by
            class, or whole subjects where the set names them; 0 keeps only the last.
    """

    name: str = "shapes"
    root: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    num_points: int = 1024
    centre: bool = True
    scale: Literal["unit_sphere", "none"] = "unit_sphere"
    batch_size: int = 32
    eval_batch_size: int = 64
    augment: list[dict[str, dict[str, Any]]] = field(default_factory=list)
    val_fraction: float = 0.1


@dataclass(frozen=True)
class EvaluationData:
    """Which clouds to evaluate on; unset: those of the run.

    Attributes:
        name: One of `pcmamba data list`.
        root: Folder with the data.
        options: Further options of the data set.
    """

    name: str | None = None
    root: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OptimConfig:
    """Loss, AdamW and its learning rate.

    Attributes:
        lr: Peak learning rate.
        min_lr: Learning rate at the end.
        warmup_lr: Learning rate of the first step.
        warmup_epochs: Epochs of linear warm-up.
        schedule: "cosine" falls after the warm-up, step by step, until the last epoch; "epochwise"
            is the paper's: one rate an epoch, the cosine counted from the first epoch.
        cosine_epochs: Where an "epochwise" cosine ends and stays constant; the last epoch if unset.
        weight_decay: On parameters with more than one axis that the model does not exempt.
        betas: Of AdamW.
        label_smoothing: Probability spread evenly over the other classes.
        clip_norm: Largest gradient norm; unset: gradients are not clipped.
        ema_decay: Decay of averaged weights, used for evaluation and kept as the result;
            unset: no averaging.
    """

    lr: float = 1e-4
    min_lr: float = 1e-5
    warmup_lr: float = 1e-6
    warmup_epochs: float = 5.0
    schedule: Literal["cosine", "epochwise"] = "cosine"
    cosine_epochs: int | None = None
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    label_smoothing: float = 0.2
    clip_norm: float | None = 1.0
    ema_decay: float | None = None


@dataclass(frozen=True)
class TrainerConfig:
    """How long and on what.

    Attributes:
        max_epochs: Passes over the training clouds.
        max_minutes: Stop after so many minutes of training in this process, resumable.
        accelerator: "auto" takes a GPU if there is one.
        precision: "auto" is bf16-mixed on a GPU that has it, else 32.
        sync_batchnorm: Share batch statistics between processes; PyTorch can on GPUs only.
        checkpoint_every_n_steps: A step checkpoint so often; 0: only at the ends of epochs.
        log_every_n_steps: Metrics leave the device so often.
        check_finite_every_n_steps: Loss and gradients are looked at so often; unset: each step
            on a CPU, with the metrics on a GPU.
        cuda_graph: Launch a training step as one CUDA graph: "auto" does where one GPU trains, and
            says so if the model does not allow it; "always" makes that an error. The results have
            the same bits.
        progress_bar: Show one.
    """

    max_epochs: int = 250
    max_minutes: float | None = None
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["auto", "32", "bf16-mixed"] = "auto"
    sync_batchnorm: bool = True
    checkpoint_every_n_steps: int = 200
    log_every_n_steps: int = 50
    check_finite_every_n_steps: int | None = None
    cuda_graph: Literal["auto", "always", "never"] = "auto"
    progress_bar: bool = True


@dataclass(frozen=True)
class PretrainConfig:
    """Masked pre-training without labels, instead of classification; the classifier is its encoder.

    Attributes:
        mask_ratio: Share of the patches that are hidden and rebuilt; 0: classify.
        decoder_depth: Blocks of the decoder.
        decoder_drop_path: Rate of stochastic depth of the decoder's last block, rising from 0.
    """

    mask_ratio: float = 0.0
    decoder_depth: int = 4
    decoder_drop_path: float = 0.1


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        model: Which network.
        data: Which clouds.
        optim: Loss and optimizer.
        trainer: How long and on what.
        pretrain: Masked pre-training, if it hides anything.
        seed: Of every random choice.
        out: Folder of the run; unset: the next free `runs/<data>-<model>[-n]`.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    seed: int = 0
    out: str | None = None

    def __post_init__(self) -> None:
        for name, ok, condition in _conditions(self):
            if not ok:
                section, _, key = name.partition(".")
                raise ValueError(
                    f"{name} must {condition}, got {getattr(getattr(self, section), key)}"
                )


def _conditions(r: Recipe) -> Iterator[tuple[str, bool, str]]:
    for name in ("num_points", "batch_size", "eval_batch_size"):
        yield f"data.{name}", getattr(r.data, name) >= 1, "be at least 1"
    yield "data.val_fraction", 0 <= r.data.val_fraction < 1, "lie in [0, 1)"
    yield "optim.lr", r.optim.lr > 0, "be positive"
    yield "optim.warmup_epochs", r.optim.warmup_epochs >= 0, "not be negative"
    yield "optim.label_smoothing", 0 <= r.optim.label_smoothing < 1, "lie in [0, 1)"
    yield "optim.clip_norm", r.optim.clip_norm is None or r.optim.clip_norm > 0, "be positive"
    yield (
        "optim.ema_decay",
        r.optim.ema_decay is None or 0 < r.optim.ema_decay < 1,
        "lie in (0, 1)",
    )
    yield "pretrain.mask_ratio", 0 <= r.pretrain.mask_ratio < 1, "lie in [0, 1)"
    yield "pretrain.decoder_depth", r.pretrain.decoder_depth >= 1, "be at least 1"
    yield "trainer.max_epochs", r.trainer.max_epochs >= 1, "be at least 1"
    yield "trainer.log_every_n_steps", r.trainer.log_every_n_steps >= 1, "be at least 1"
    yield (
        "trainer.checkpoint_every_n_steps",
        r.trainer.checkpoint_every_n_steps >= 0,
        "not be negative",
    )
