"""Loss, parameter groups and learning rate of the recipes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pcmamba.train.recipe import OptimConfig


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean cross entropy to 1 - `smoothing` on the class, smoothing / (K - 1) on each other.

    PyTorch's `label_smoothing` spreads over all K classes instead. Computed in float32 or wider.

    Args:
        logits: (B, K).
        labels: (B,) int64.
        smoothing: In [0, 1).

    Source: the released PCM code's classification loss.
    """
    log_p = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(dim=-1)
    own = log_p.gather(1, labels[:, None]).squeeze(1)
    if smoothing == 0:
        return -own.mean()
    others = log_p.sum(dim=1) - own
    return -((1 - smoothing) * own + smoothing / (logits.shape[1] - 1) * others).mean()


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split trainable parameters into decayed ones and those that must not decay.

    One-axis parameters (biases, norms, skips) never decay, nor what the model's
    `no_weight_decay()` names.

    Raises:
        ValueError: The model names a parameter it does not have.
    """
    exempt = set(getattr(model, "no_weight_decay", set)())
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if stray := exempt - dict(model.named_parameters()).keys():
        raise ValueError(f"no_weight_decay() must name parameters, got {sorted(stray)}")
    decayed = [p for name, p in named.items() if p.ndim > 1 and name not in exempt]
    kept = [p for name, p in named.items() if p.ndim <= 1 or name in exempt]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]


def learning_rate(step: int, steps_per_epoch: int, max_epochs: int, optim: OptimConfig) -> float:
    """Return the rate of a step: a pure function, so that a resumed run needs no scheduler state.

    Args:
        step: Steps done before this one.
        steps_per_epoch: Steps of an epoch.
        max_epochs: Epochs of the run.
        optim: Peak, end, warm-up and form; see `OptimConfig.schedule`.
    """
    if optim.schedule == "epochwise":
        t = float(step // steps_per_epoch)
        done = t / (optim.cosine_epochs or max_epochs)
    else:
        t = step / steps_per_epoch
        done = (t - optim.warmup_epochs) / max(max_epochs - optim.warmup_epochs, 1e-9)
    if t < optim.warmup_epochs:
        return optim.warmup_lr + t / optim.warmup_epochs * (optim.lr - optim.warmup_lr)
    fall = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return optim.min_lr + (optim.lr - optim.min_lr) * fall
