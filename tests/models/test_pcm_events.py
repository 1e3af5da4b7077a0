"""PCM over events: gradients everywhere, batch-mates, what is refused."""

from __future__ import annotations

import pytest
import torch

from pcmamba.models import EventCloudPreprocessing, create_model

SMALL = {"widths": (16, 32), "reducers": (2, 2), "blocks": (1, 1), "embed_dim": 16}
ORDERS = {"orders": ("cts-xyz", "hilbert"), "neighbours": 4}


def events(batch: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    points = torch.rand(batch, size, 3, generator=draw) * 2 - 1
    return points, (torch.rand(batch, size, 1, generator=draw) < 0.5).float() * 2 - 1


def small() -> torch.nn.Module:
    torch.manual_seed(1)
    return create_model("pcm_events_nano", num_classes=5, **SMALL, **ORDERS)


def test_gradients_reach_every_parameter() -> None:
    model = small()
    model(*events(3, 64)).square().sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not [n for n in silent if not n.endswith("beta")]


def test_batch_mates_never_change_a_result_and_polarity_counts() -> None:
    model = small().eval()
    points, sign = events(4, 64)
    with torch.inference_mode():
        together = model(points, sign)
        alone = torch.cat([model(points[i : i + 1], sign[i : i + 1]) for i in range(4)])
        flipped = model(points, -sign)
    assert (together - alone).abs().max() <= 1e-5 * together.abs().max()
    assert (together - flipped).abs().max() > 1e-3


def test_it_takes_events_and_says_what_is_missing() -> None:
    model = create_model("pcm_events", num_classes=3, num_points=256)
    assert model.domain == "events"
    assert model.preprocessing == EventCloudPreprocessing(256)
    with pytest.raises(ValueError, match=r"features must be the events' polarities \(B, N, 1\)"):
        small()(events(1, 64)[0])
