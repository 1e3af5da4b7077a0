"""Drawing counts: the four kinds of pixel, saturation, background."""

from __future__ import annotations

import pytest
import torch

from pcmamba.ops.draw_events import draw_events


def test_the_four_kinds_of_pixel() -> None:
    #        none, negative, positive, both, many of both
    counts = torch.tensor([[[0, 1, 0, 1, 300]], [[0, 0, 1, 2, 40]]], dtype=torch.int32)
    wanted = [[[1, 0, 1, 0, 0]], [[1, 0, 0, 0, 0]], [[1, 1, 0, 0, 0]]]
    drawn = draw_events(counts)
    assert drawn.dtype == torch.float32
    assert drawn.tolist() == wanted
    assert torch.equal(draw_events(counts, "black"), 1 - drawn)


def test_it_is_the_formula_of_the_specification() -> None:
    counts = torch.randint(0, 4, (2, 3, 2, 5, 6), generator=torch.Generator().manual_seed(0))
    n0, n1 = (part[..., None] for part in counts.unbind(2))
    colour = 255 - n1 * torch.tensor([0, 255, 255]) - n0 * torch.tensor([255, 255, 0])
    wanted = (colour.clamp(0, 255) / 255).movedim(-1, 2)
    assert torch.equal(draw_events(counts), wanted)
    assert torch.equal(draw_events(counts[0, 1]), wanted[0, 1])


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"histogram must be \(..., 2, H, W\), got \(3, 4, 4\)"):
        draw_events(torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match="background must be one of black, white"):
        draw_events(torch.zeros(2, 4, 4), "gray")  # type: ignore[arg-type]
