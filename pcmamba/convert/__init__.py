"""Weights of released programs, to and from this library's models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pcmamba.convert import mamba3d, pcm
from pcmamba.convert.prompt_search import search_prompt_blocks
from pcmamba.models import Classifier

__all__ = ["from_released", "search_prompt_blocks", "to_released"]


def from_released(state_dict: Mapping[str, Tensor], **options: Any) -> Classifier:
    """Build a classification model from a released program's weights, which tell what they are.

    Args:
        state_dict: Released names to tensors; a `module.` in front is dropped.
        **options: See `pcmamba.convert.pcm.from_released` for Point Cloud Mamba and
            `pcmamba.convert.mamba3d.from_released` for Mamba3D and HyMamba.

    Returns:
        The model in evaluation mode, running as released.

    Raises:
        ValueError: A name has no counterpart, or a tensor is missing or has another shape.

    Example:
        `from_released(torch.load(file, weights_only=True)["model"], prompt_rows={"xyz": 12, …})`
    """
    bare = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    is_mamba3d = any(name.endswith("cls_token") for name in bare)
    return (mamba3d if is_mamba3d else pcm).from_released(bare, **options)


def to_released(model: Classifier) -> dict[str, Tensor]:
    """Return a model's weights under the released names and shapes.

    Raises:
        ValueError: No released program has the model.
    """
    is_mamba3d = "class_token" in model.state_dict()
    return (mamba3d if is_mamba3d else pcm).to_released(model)
