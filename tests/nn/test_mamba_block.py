"""The pre-norm block: its stream and norm are those of plain torch, also under autocast."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pcmamba.nn import MambaBlock


def make_block(drop_path: float = 0.0) -> MambaBlock:
    block = MambaBlock(nn.Identity(), 6, drop_path)  # so that the norm's output shows
    nn.init.normal_(block.norm.weight, generator=torch.Generator().manual_seed(0))
    return block


def test_adds_and_normalises() -> None:
    block, x, residual = make_block(), torch.randn(2, 5, 6), torch.randn(2, 5, 6)
    for before, want in ((None, x), (residual, residual + x)):
        normed, stream = block(x, before)
        assert torch.equal(stream, want)
        torch.testing.assert_close(normed, F.rms_norm(want, (6,), block.norm.weight, 1e-5))


def test_drops_whole_samples_from_a_stream_that_exists() -> None:
    block, x = make_block(drop_path=0.5).train(), torch.ones(64, 2, 6)
    _, stream = block(x, torch.zeros(64, 2, 6))
    samples = {tuple(sample.flatten().tolist()) for sample in stream}
    assert samples == {(0.0,) * 12, (2.0,) * 12}
    assert torch.equal(block(x, None)[1], x)
    assert torch.equal(block.eval()(x, torch.zeros(64, 2, 6))[1], x)


@pytest.mark.parametrize("compiled", [False, True])
def test_autocast_narrows_the_normed_rows_and_not_the_stream(compiled: bool) -> None:
    block, x = make_block(), torch.randn(2, 5, 6).bfloat16()
    run = torch.compile(block, fullgraph=True, backend="aot_eager") if compiled else block
    with torch.autocast("cpu", torch.bfloat16):
        normed, stream = run(x, torch.ones(2, 5, 6))
    assert (normed.dtype, stream.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(stream, x.float() + 1)
    normed, stream = block(x, None)
    assert (normed.dtype, stream.dtype) == (torch.float32, torch.float32)
