"""Weights of the released Point Cloud Mamba code, to and from this library's models.

Released names and shapes: repository SkyworkAI/PointCloudMamba at 57fdb29.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor

from pcmamba.convert import names
from pcmamba.convert.prompt_search import Batches, accuracy_on, search_prompt_blocks
from pcmamba.models import Classifier, create_model
from pcmamba.models.pcm import PROMPTS, PCMConfig
from pcmamba.models.weights import load_strictly

SEARCHES = ("search", "search-all")
PromptRows = Mapping[str, int] | Literal["first-appearance", "search", "search-all"]

# (released, ours), tried in turn; `*` stands for a stage, block or layer number.
_NAMES = (
    ("encoder.embedding.net.0", "embedding.0"),
    ("encoder.embedding.net.1", "embedding.1.norm"),
    ("encoder.order_prompt.weight", "prompts"),
    ("encoder.order_prompt_proj.*", "stages.*.prompt"),
    ("encoder.pos_proj.*", "stages.*.position"),
    ("encoder.local_grouper_list.*.affine_alpha", "stages.*.grouper.alpha"),
    ("encoder.local_grouper_list.*.affine_beta", "stages.*.grouper.beta"),
    ("encoder.pre_blocks_list.*.transfer.net.0", "stages.*.grouper.projection"),
    ("encoder.pre_blocks_list.*.transfer.net.1", "stages.*.pool.start.norm"),
    ("encoder.pre_blocks_list.*.operation.*.net1.0", "stages.*.pool.blocks.*.inner.0"),
    ("encoder.pre_blocks_list.*.operation.*.net1.1", "stages.*.pool.blocks.*.inner.1.norm"),
    ("encoder.pre_blocks_list.*.operation.*.net2.0", "stages.*.pool.blocks.*.outer"),
    ("encoder.pre_blocks_list.*.operation.*.net2.1", "stages.*.pool.blocks.*.norm"),
    ("encoder.mamba_blocks_list.*.*.mixer.A_log", "stages.*.blocks.*.mixer.ahead.A_log"),
    ("encoder.mamba_blocks_list.*.*.mixer.A_b_log", "stages.*.blocks.*.mixer.back.A_log"),
    ("encoder.mamba_blocks_list.*.*.mixer.D", "stages.*.blocks.*.mixer.ahead.D"),
    ("encoder.mamba_blocks_list.*.*.mixer.D_b", "stages.*.blocks.*.mixer.back.D"),
    ("encoder.mamba_blocks_list.*.*.mixer.conv1d", "stages.*.blocks.*.mixer.ahead.conv"),
    ("encoder.mamba_blocks_list.*.*.mixer.conv1d_b", "stages.*.blocks.*.mixer.back.conv"),
    ("encoder.mamba_blocks_list.*.*.mixer.x_proj", "stages.*.blocks.*.mixer.ahead.x_proj"),
    ("encoder.mamba_blocks_list.*.*.mixer.x_proj_b", "stages.*.blocks.*.mixer.back.x_proj"),
    ("encoder.mamba_blocks_list.*.*.mixer.dt_proj", "stages.*.blocks.*.mixer.ahead.dt_proj"),
    ("encoder.mamba_blocks_list.*.*.mixer.dt_proj_b", "stages.*.blocks.*.mixer.back.dt_proj"),
    ("encoder.mamba_blocks_list.*.*.mixer.in_proj", "stages.*.blocks.*.mixer.in_proj"),
    ("encoder.mamba_blocks_list.*.*.mixer.out_proj", "stages.*.blocks.*.mixer.out_proj"),
    ("encoder.mamba_blocks_list.*.*.norm", "stages.*.blocks.*.norm"),
    ("encoder.residual_proj_blocks_list.*", "stages.*.widen"),
    ("prediction.head.0.0", "head.0.0"),
    ("prediction.head.0.1", "head.0.1.norm"),
    ("prediction.head.2.0", "head.2.0"),
    ("prediction.head.2.1", "head.2.1.norm"),
    ("prediction.head.4.0", "head.4"),
)
OWNER = "Point Cloud Mamba"
_CONVOLUTIONS = re.compile(r"(embedding|transfer|operation\.\d+)\.(net|net1|net2)\.0\.weight$")


def from_released(
    state_dict: Mapping[str, Tensor],
    *,
    model: str = "pcm_tiny",
    prompt_rows: PromptRows = "first-appearance",
    evaluate: Callable[[Classifier], float] | None = None,
    batches: Batches | None = None,
) -> Classifier:
    """Build a classification model from the released code's weights.

    The model runs as released (`reference=True`): slab orders, batch-wide directions.

    Args:
        state_dict: Released names to tensors.
        model: "pcm_tiny", "pcm" or "pcm_naive".
        prompt_rows: First row of `order_prompt.weight` of each order ("xyz" or "slab-xyz"). The
            released code draws this map from the order of a Python set, so no checkpoint holds it.
            "first-appearance" numbers the orders as the layers use them. "search" takes the map
            that scores best on validation data, see `search_prompt_blocks`; "search-all" tries
            every map (720 for `pcm_tiny`). The choice stays in the model's configuration.
        evaluate: For a search: returns the accuracy of a model on the CPU, in evaluation mode.
        batches: For a search, instead of `evaluate`: validation batches (xyz (B, N, 3) as the
            model takes them, labels (B,) int64). The released orders take directions from the
            whole batch, so use the batch size of your evaluation.

    Returns:
        The model in evaluation mode.

    Raises:
        ValueError: A name has no counterpart, a tensor is missing or has another shape, or
            `prompt_rows` does not name every order with the start of a block, or a search gets
            not one of `evaluate` and `batches`, or the model has no prompts.

    Example:
        `from_released(torch.load(file, weights_only=True)["model"], prompt_rows={"xyz": 12, …})`
    """
    score = _score(prompt_rows, evaluate, batches)
    if score is not None:
        tried = from_released(state_dict, model=model)
        blocks = search_prompt_blocks(tried, score, exhaustive=prompt_rows == "search-all")
        prompt_rows = {order: PROMPTS * block for order, block in blocks.items()}
    assert not isinstance(prompt_rows, str) or prompt_rows == "first-appearance"
    ours = {names.renamed(name, _NAMES, OWNER): tensor for name, tensor in state_dict.items()}
    for needed in ("embedding.0.weight", "head.4.weight"):
        if needed not in ours:
            raise ValueError(f"state_dict must hold a Point Cloud Mamba classifier, lacks {needed}")
    built = create_model(
        model,
        num_classes=ours["head.4.weight"].shape[0],
        in_channels=ours["embedding.0.weight"].shape[1],
        reference=True,
        prompt_blocks=_prompt_blocks(model, prompt_rows),
    )
    shapes = {name: tensor.shape for name, tensor in built.state_dict().items()}
    state = {name: names.reshaped(tensor, shapes.get(name)) for name, tensor in ours.items()}
    load_strictly(built, state, "the released state_dict")
    return built.eval()


def to_released(model: Classifier) -> dict[str, Tensor]:
    """Return a model's weights under the released names and shapes, the inverse of the above.

    Raises:
        ValueError: The model is no Point Cloud Mamba classifier.
    """
    released = {}
    for name, tensor in model.state_dict().items():
        old = names.renamed(name, _NAMES, OWNER, back=True)
        if _CONVOLUTIONS.search(old):
            tensor = tensor[..., None]
        elif ".affine_" in old:
            tensor = tensor[None, None, None]
        released[old] = tensor
    return released


def _score(
    prompt_rows: PromptRows,
    evaluate: Callable[[Classifier], float] | None,
    batches: Batches | None,
) -> Callable[[Classifier], float] | None:
    if isinstance(prompt_rows, str) and prompt_rows not in (*SEARCHES, "first-appearance"):
        known = "'first-appearance', 'search' or 'search-all'"
        raise ValueError(f"prompt_rows must be a mapping, {known}, got {prompt_rows!r}")
    given = (evaluate is not None) + (batches is not None)
    searching = isinstance(prompt_rows, str) and prompt_rows in SEARCHES
    if given != searching:
        raise ValueError(
            "evaluate or batches must be given with prompt_rows='search' or 'search-all', one of "
            f"them and only then, got {given} with {prompt_rows!r}"
        )
    return accuracy_on(batches) if batches is not None else evaluate


def _prompt_blocks(
    model: str, rows: Mapping[str, int] | Literal["first-appearance"]
) -> dict[str, int] | None:
    if rows == "first-appearance":
        return None
    wanted = set(_released_orders(model))
    named = {f"slab-{k}" if f"slab-{k}" in wanted else k: first for k, first in rows.items()}
    starts = {
        first % PROMPTS == 0 and 0 <= first < PROMPTS * len(wanted) for first in rows.values()
    }
    if set(named) != wanted or False in starts or len(set(rows.values())) != len(wanted):
        raise ValueError(
            f"prompt_rows must map each of {sorted(wanted)} to its own multiple of {PROMPTS}, "
            f"got {dict(rows)}"
        )
    return {order: first // PROMPTS for order, first in named.items()}


def _released_orders(model: str) -> tuple[str, ...]:
    config = create_model(model, num_classes=1, reference=True).config
    assert isinstance(config, PCMConfig)
    return tuple(dict.fromkeys(config.layer_orders))
