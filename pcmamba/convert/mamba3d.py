"""Weights of the released Mamba3D code, to and from this library's models.

Released names and shapes: repository xhanxu/Mamba3D. The names of HyMamba's enhancer are those of
the reference outputs; its authors published none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pcmamba.convert import names
from pcmamba.models import Classifier, create_model
from pcmamba.models.weights import load_strictly

OWNER = "Mamba3D"
_PREFIXES = ("module.", "MAE_encoder.", "base_model.")
_BLOCK, _OURS = "blocks.blocks.*", "blocks.*"
_NAMES = (
    ("cls_token", "class_token"),
    ("cls_pos", "class_position"),
    ("encoder.first_conv.0", "embedding.point.0.0"),
    ("encoder.first_conv.1", "embedding.point.0.1.norm"),
    ("encoder.first_conv.3", "embedding.point.1"),
    ("encoder.second_conv.0", "embedding.patch.0.0"),
    ("encoder.second_conv.1", "embedding.patch.0.1.norm"),
    ("encoder.second_conv.3", "embedding.patch.1"),
    ("pos_embed.0", "position.0"),
    ("pos_embed.2", "position.2"),
    (f"{_BLOCK}.norm1", f"{_OURS}.norm1"),
    (f"{_BLOCK}.norm2", f"{_OURS}.norm2"),
    (f"{_BLOCK}.lfa.lga.affine_alpha_feat", f"{_OURS}.pool.alpha"),
    (f"{_BLOCK}.lfa.lga.affine_beta_feat", f"{_OURS}.pool.beta"),
    (f"{_BLOCK}.lfa.mlp.share_mlp", f"{_OURS}.pool.project"),
    (f"{_BLOCK}.lfa.pre_norm_ft", f"{_OURS}.pool.norm"),
    (f"{_BLOCK}.mixer.A_log", f"{_OURS}.mixer.ahead.A_log"),
    (f"{_BLOCK}.mixer.A_b_log", f"{_OURS}.mixer.back.A_log"),
    (f"{_BLOCK}.mixer.D", f"{_OURS}.mixer.ahead.D"),
    (f"{_BLOCK}.mixer.D_b", f"{_OURS}.mixer.back.D"),
    (f"{_BLOCK}.mixer.conv1d", f"{_OURS}.mixer.ahead.conv"),
    (f"{_BLOCK}.mixer.conv1d_b", f"{_OURS}.mixer.back.conv"),
    (f"{_BLOCK}.mixer.x_proj", f"{_OURS}.mixer.ahead.x_proj"),
    (f"{_BLOCK}.mixer.x_proj_b", f"{_OURS}.mixer.back.x_proj"),
    (f"{_BLOCK}.mixer.dt_proj", f"{_OURS}.mixer.ahead.dt_proj"),
    (f"{_BLOCK}.mixer.dt_proj_b", f"{_OURS}.mixer.back.dt_proj"),
    (f"{_BLOCK}.mixer.in_proj", f"{_OURS}.mixer.in_proj"),
    (f"{_BLOCK}.mixer.out_proj", f"{_OURS}.mixer.out_proj"),
    (f"{_BLOCK}.mixer.ema.gn", f"{_OURS}.mixer.enhancer.norm"),
    (f"{_BLOCK}.mixer.ema.conv1x1", f"{_OURS}.mixer.enhancer.attention"),
    (f"{_BLOCK}.mixer.ema.conv3x3", f"{_OURS}.mixer.enhancer.local"),
    ("norm", "norm"),
    ("cls_head_finetune.0", "head.0.0"),
    ("cls_head_finetune.1", "head.0.1.norm"),
    ("cls_head_finetune.4", "head.2.0"),
    ("cls_head_finetune.5", "head.2.1.norm"),
    ("cls_head_finetune.8", "head.4"),
)
_CONVOLUTIONS = ("first_conv.0", "first_conv.3", "second_conv.0", "second_conv.3", "share_mlp")


def from_released(
    state_dict: Mapping[str, Tensor],
    *,
    model: str | None = None,
    reference: bool = True,
    **overrides: Any,
) -> Classifier:
    """Build a Mamba3D or HyMamba classifier from the released code's weights.

    Width, depth and classes are read off the tensors.

    Args:
        state_dict: Released names to tensors, of `base_model` in a released checkpoint; the
            prefixes `module.`, `MAE_encoder.` and `base_model.` are dropped.
        model: "mamba3d" or "hymamba"; None tells them apart by the enhancer's tensors.
        reference: Run as released, where a result depends on the batch.
        **overrides: Fields of `Mamba3DConfig` that the tensors do not show, such as patches.

    Returns:
        The model in evaluation mode.

    Raises:
        ValueError: A name has no counterpart, or a tensor is missing or has another shape.
    """
    ours = {names.renamed(_bare(name), _NAMES, OWNER): t for name, t in state_dict.items()}
    for needed in ("class_token", "head.4.weight"):
        if needed not in ours:
            raise ValueError(f"state_dict must hold a {OWNER} classifier, lacks {needed}")
    if model is None:
        enhanced = any(".enhancer." in name for name in ours)
        model = "hymamba" if enhanced else "mamba3d"
    built = create_model(
        model,
        num_classes=ours["head.4.weight"].shape[0],
        width=ours["class_token"].shape[-1],
        depth=1 + max(int(name.split(".")[1]) for name in ours if name.startswith("blocks.")),
        reference=reference,
        **overrides,
    )
    shapes = {name: tensor.shape for name, tensor in built.state_dict().items()}
    state = {name: names.reshaped(tensor, shapes.get(name)) for name, tensor in ours.items()}
    load_strictly(built, state, "the released state_dict")
    return built.eval()


def to_released(model: Classifier) -> dict[str, Tensor]:
    """Return a model's weights under the released names and shapes, the inverse of the above.

    Raises:
        ValueError: The model is no Mamba3D or HyMamba classifier.
    """
    released = {}
    for name, tensor in model.state_dict().items():
        old = names.renamed(name, _NAMES, OWNER, back=True)
        if old in ("cls_token", "cls_pos"):
            tensor = tensor[None, None]
        elif ".affine_" in old:
            tensor = tensor[None, None, None]
        elif old.removesuffix(".weight").endswith((*_CONVOLUTIONS, "ema.conv1x1")):
            tensor = tensor[..., None] if old.endswith(".weight") else tensor
        released[old] = tensor
    return released


def _bare(name: str) -> str:
    while name.startswith(_PREFIXES):
        name = name[len(next(p for p in _PREFIXES if name.startswith(p))) :]
    return name
