"""The map from orders to prompt blocks: a known one must be found, by each way of looking."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pcmamba import create_model
from pcmamba.convert import from_released, search_prompt_blocks, to_released
from pcmamba.models import PointClassifier

TRUE = {"slab-xyz": 2, "slab-yzx": 0, "slab-zxy": 1}


@pytest.fixture(scope="module")
def trained() -> PointClassifier:
    """A model whose prompts matter: its own answers are the labels."""
    torch.manual_seed(0)
    model = create_model("pcm_nano", num_classes=6, reference=True, prompt_blocks=TRUE)
    with torch.no_grad():
        model.prompts.mul_(8)
    return model.eval()


@pytest.fixture(scope="module")
def batches(trained: PointClassifier) -> list[tuple[Tensor, Tensor]]:
    clouds = torch.nn.functional.normalize(torch.randn(2, 24, 64, 3), dim=-1)
    clouds = clouds * torch.rand(2, 24, 1, 3)
    with torch.inference_mode():
        logits = torch.stack([trained(cloud) for cloud in clouds])
    # Each class as often as the others: labels by the logits' excess over their mean.
    trained.head[-1].bias.data -= logits.mean((0, 1))
    with torch.inference_mode():
        return [(cloud, trained(cloud).argmax(1)) for cloud in clouds]


@pytest.mark.parametrize("way", ["search", "search-all"])
def test_the_true_map_is_found(trained, batches, way: str) -> None:
    found = from_released(
        to_released(trained), model="pcm_nano", prompt_rows=way, batches=iter(batches)
    )
    assert found.config.prompt_blocks == TRUE
    for cloud, labels in batches:
        assert torch.equal(found(cloud).argmax(1), labels)


def test_another_map_answers_otherwise(trained, batches) -> None:
    other = from_released(to_released(trained), model="pcm_nano")
    assert any((other(cloud).argmax(1) != labels).any() for cloud, labels in batches)


def test_a_callback_decides_and_the_model_stays(trained) -> None:
    before = {name: t.clone() for name, t in trained.state_dict().items()}
    wanted, seen = {"slab-xyz": 1, "slab-yzx": 2, "slab-zxy": 0}, []

    def score(model: PointClassifier) -> float:
        rows = model.stages[0].prompt_rows
        seen.append(rows)
        return sum(rows[order] == 6 * block for order, block in wanted.items())

    assert search_prompt_blocks(trained, score) == wanted
    assert len(seen) == 9 + 1 + 3  # probes, their assignment, its swaps
    assert trained.stages[0].prompt_rows["slab-xyz"] == 12
    after = trained.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], t) for name, t in before.items())


def test_swaps_mend_what_single_probes_cannot_see(trained) -> None:
    def score(model: PointClassifier) -> float:
        rows = model.stages[0].prompt_rows
        return float((rows["slab-xyz"], rows["slab-yzx"], rows["slab-zxy"]) == (6, 0, 12))

    assert search_prompt_blocks(trained, score) == {"slab-xyz": 1, "slab-yzx": 0, "slab-zxy": 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_rows": "search"}, "evaluate or batches must be given"),
        ({"prompt_rows": "first-appearance", "batches": []}, "only then"),
        ({"prompt_rows": "search", "batches": []}, "at least one labelled cloud"),
        ({"prompt_rows": "serach"}, "prompt_rows must be a mapping"),
    ],
)
def test_errors(trained, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_released(to_released(trained), model="pcm_nano", **options)


def test_too_many_maps_and_no_prompts_are_refused() -> None:
    with torch.device("meta"):
        full = create_model("pcm", num_classes=2, reference=True)
        naive = create_model("pcm_naive", num_classes=2, reference=True)
    with pytest.raises(ValueError, match="362880 maps"):
        search_prompt_blocks(full, lambda _: 0.0, exhaustive=True)
    with pytest.raises(ValueError, match="must have order prompts"):
        search_prompt_blocks(naive, lambda _: 0.0)
