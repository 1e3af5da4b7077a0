"""Geometry-feature coupled pooling: hand case, laws, gradients, errors."""

from __future__ import annotations

import math

import pytest
import torch

from pcmamba.ops import gfcp, knn
from pcmamba.ops.gfcp import distance_weight, gfcp_reference


def inputs(batch: int = 2, tokens: int = 9, channels: int = 5, k: int = 4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(batch + tokens)
    feat, centres = (
        torch.randn(batch, tokens, size, generator=generator, dtype=dtype) for size in (channels, 3)
    )
    idx = knn(centres, centres, k).idx
    alpha, beta = torch.randn(2, 2 * channels, generator=generator, dtype=dtype)
    return feat, centres, idx, alpha, beta


def test_two_tokens_by_hand() -> None:
    feat = torch.tensor([[[0.0], [2.0]]], dtype=torch.float64)
    centres = torch.tensor([[[0.0, 0, 0], [0, 0, 3.0]]], dtype=torch.float64)
    idx = torch.tensor([[[0, 1], [1, 0]]])
    alpha, beta = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    got = gfcp(feat, centres, idx, alpha, beta)
    sigma = math.sqrt((0 + 4 + 0 + 4) / 3) + 1e-5  # differences 0, 2, 0, -2
    far = math.exp(-3) * 2 / sigma
    pooled = far * math.exp(far) / (1 + math.exp(far))
    assert got[0, 0, 0].item() == pytest.approx(pooled)
    assert got[0, 0, 1].item() == 0.0
    own, own_far = 2.0, 2.0 * math.exp(-3)
    top = own * math.exp(own) + own_far * math.exp(own_far)
    assert got[0, 1, 1].item() == pytest.approx(top / (math.exp(own) + math.exp(own_far)))


@pytest.mark.parametrize("weight", ["exp", "relative", "none"])
@pytest.mark.parametrize("per_sample", [True, False])
@pytest.mark.parametrize("impl", ["cpu", "triton"])
def test_agrees_with_the_reference(weight: str, per_sample: bool, impl: str) -> None:
    exact = inputs()
    floats = [t.float() if t.is_floating_point() else t for t in exact]
    for tensor in (*exact, *floats):
        if tensor.is_floating_point():
            tensor.requires_grad_()
    wanted = gfcp_reference(*exact, weight, per_sample)
    got = gfcp(*floats, weight=weight, per_sample=per_sample, impl=impl)
    torch.testing.assert_close(got.double(), wanted, rtol=1e-5, atol=1e-5)
    grad = torch.randn_like(wanted)
    wanted.backward(grad)
    got.backward(grad.float())
    for a, b in zip(exact, floats, strict=True):
        if a.is_floating_point() and (a.grad is not None or weight != "none"):
            torch.testing.assert_close(b.grad.double(), a.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("weight", ["exp", "relative", "none"])
def test_gradients_of_the_reference(weight: str) -> None:
    feat, centres, idx, alpha, beta = inputs(batch=1, tokens=5, channels=2, k=3)
    tensors = [t.requires_grad_() for t in (feat, centres, alpha, beta)]
    torch.autograd.gradcheck(
        lambda f, c, a, b: gfcp_reference(f, c, idx, a, b, weight, True), tensors
    )


def test_a_token_at_its_own_place_sends_no_gradient_and_no_nan() -> None:
    feat, centres, idx, alpha, beta = inputs()
    centres = centres.detach().clone()
    centres[:, 1] = centres[:, 0]
    centres.requires_grad_()
    gfcp(feat, centres, idx, alpha, beta, impl="reference").sum().backward()
    assert centres.grad.isfinite().all()


def test_batch_mates_change_nothing_and_the_released_deviation_does() -> None:
    feat, centres, idx, alpha, beta = (t.clone() for t in inputs(batch=3, dtype=torch.float32))
    feat[2] *= 50

    def pooled(part: slice, per_sample: bool) -> torch.Tensor:
        own = (t[part] for t in (feat, centres, idx))
        return gfcp(*own, alpha, beta, per_sample=per_sample)

    assert torch.equal(pooled(slice(0, 3), True)[:1], pooled(slice(0, 1), True))
    apart = pooled(slice(0, 3), False)[:1] - pooled(slice(0, 1), False)
    assert apart.abs().max() > 1e-2


def test_scale_moves_the_absolute_weight_alone() -> None:
    _, centres, idx, _, _ = inputs()
    for weight, moves in (("exp", True), ("relative", False)):
        apart = distance_weight(3 * centres, idx, weight) - distance_weight(centres, idx, weight)
        assert (apart.abs().max() > 1e-2) == moves


def test_order_of_neighbours_is_of_no_effect_and_large_values_do_not_overflow() -> None:
    feat, centres, idx, alpha, beta = inputs()
    torch.testing.assert_close(
        gfcp(feat, centres, idx.flip(-1), alpha, beta), gfcp(feat, centres, idx, alpha, beta)
    )
    huge = gfcp(feat.float(), centres.float(), idx, 1e4 * alpha.float(), beta.float())
    assert huge.isfinite().all()


def test_errors_say_what_is_wrong() -> None:
    feat, centres, idx, alpha, beta = inputs()
    with pytest.raises(ValueError, match=r"alpha must be \(10\), got \(4,\)"):
        gfcp(feat, centres, idx, alpha[:4], beta)
    with pytest.raises(ValueError, match="weight must be one of exp, none, relative, got 'gauss'"):
        gfcp(feat, centres, idx, alpha, beta, weight="gauss")
    with pytest.raises(TypeError, match="idx must be int64"):
        gfcp(feat, centres, idx.int(), alpha, beta)
    with pytest.raises(ValueError, match=r"idx must lie in \[0, 8\]"):
        gfcp(feat, centres, idx + 9, alpha, beta)


def test_compiles_without_a_break() -> None:
    floats = [t.float() if t.is_floating_point() else t for t in inputs()]
    compiled = torch.compile(gfcp, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*floats), gfcp(*floats))
