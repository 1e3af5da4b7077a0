"""PointMLP's affine map and maximum: the mapped rows' maximum, values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pcmamba.ops import group_affine_max, group_std
from pcmamba.ops._impl import interpreting
from pcmamba.ops.group_affine_max import group_affine_max_reference

IMPLS = ["reference", "cpu", "triton"] if interpreting() else ["reference", "cpu"]


def inputs(dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[list[Tensor], Tensor]:
    """Features, anchors, deviations, scales of both signs and shifts; the table has padding."""
    draw = torch.Generator().manual_seed(seed)
    shapes = [(2, 9, 5), (2, 7, 5), (2,), (5,), (5,)]
    values = [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes]
    values[2] = values[2].abs() + 0.5
    idx = torch.randint(-1, 9, (2, 7, 3), generator=draw)
    idx[0, 3] = -1
    return [v.to(dtype).requires_grad_() for v in values], idx


def run(values: list[Tensor], idx: Tensor, impl: str | None) -> list[Tensor]:
    feat, *others = values
    if impl is None:
        out = group_affine_max_reference(feat, idx, *others)
    else:
        out = group_affine_max(feat, idx, *others, impl=impl)
    grad = torch.linspace(-1, 2, out.numel(), dtype=torch.float64).view(out.shape)
    return [out.detach(), *torch.autograd.grad(out, values, grad.to(out.dtype))]


def test_by_hand() -> None:
    feat = torch.tensor([[[1.0, 1.0], [3.0, 3.0], [7.0, 7.0]]])
    idx = torch.tensor([[[0, 1], [2, -1], [-1, -1]]])
    anchor = torch.ones(1, 3, 2)
    arguments = (torch.tensor([1.5]), torch.tensor([4.0, -4.0]), torch.tensor([10.0, 20.0]))
    out = group_affine_max(feat, idx, anchor, *arguments, eps=0.5)
    assert out.tolist() == [[[14.0, 20.0], [22.0, 8.0], [0.0, 0.0]]]


def test_gradcheck() -> None:
    (feat, *others), idx = inputs()
    assert torch.autograd.gradcheck(
        lambda f, *rest: group_affine_max(f, idx, *rest), (feat, *others)
    )


@pytest.mark.parametrize("impl", IMPLS)
def test_it_is_the_maximum_of_the_mapped_rows(impl: str) -> None:
    exact, idx = inputs()
    dtype = torch.float64 if impl == "reference" else torch.float32
    actual = run(inputs(dtype)[0], idx, impl)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    for found, truth in zip(actual, run(exact, idx, None), strict=True):
        torch.testing.assert_close(found.double(), truth, rtol=tolerance, atol=tolerance)


def test_narrow_features_lose_no_more_than_eager() -> None:
    exact, idx = inputs()
    narrow = [v.detach().bfloat16().requires_grad_() for v in exact]
    truth = run([v.detach().double().requires_grad_() for v in narrow], idx, None)[0]
    eager = (run(narrow, idx, None)[0].double() - truth).abs().max()
    error = (run(narrow, idx, "cpu")[0].double() - truth).abs().max()
    assert error <= 2 * eager + 4 * 2**-7 * truth.abs().max()


def test_the_deviation_of_the_cloud_carries_a_gradient() -> None:
    (feat, anchor, _, alpha, beta), idx = inputs(torch.float32)
    idx = idx.clamp(min=0)
    sigma = group_std(feat, idx, anchor)
    out = group_affine_max(feat, idx, anchor, sigma, alpha, beta)
    assert out.sum().grad_fn is not None
    (slope,) = torch.autograd.grad(out.square().sum(), sigma)
    step = torch.full_like(sigma, 1e-3)
    moved = [
        group_affine_max(feat, idx, anchor, sigma + d, alpha, beta).square().sum(dim=(1, 2))
        for d in (step, -step)
    ]
    torch.testing.assert_close(slope, (moved[0] - moved[1]) / 2e-3, rtol=1e-2, atol=1e-2)


def test_errors() -> None:
    (feat, anchor, sigma, alpha, beta), idx = inputs(torch.float32)
    with pytest.raises(ValueError, match="eps must be positive, got 0"):
        group_affine_max(feat, idx, anchor, sigma, alpha, beta, eps=0)
    with pytest.raises(TypeError, match="anchor must have the dtype of feat"):
        group_affine_max(feat, idx, anchor.bfloat16(), sigma, alpha, beta)
    with pytest.raises(ValueError, match=r"alpha must be \(C\)"):
        group_affine_max(feat, idx, anchor, sigma, alpha[:4], beta)
