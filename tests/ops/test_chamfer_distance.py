"""Chamfer distance: hand case, gradients, laws, errors."""

from __future__ import annotations

import pytest
import torch

from pcmamba.ops import chamfer_distance
from pcmamba.ops.chamfer_distance import chamfer_distance_reference


def sets(batch: int = 3, n: int = 17, m: int = 11, dtype=torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(n)
    return tuple(torch.randn(batch, k, 3, generator=generator, dtype=dtype) for k in (n, m))


def test_three_points_by_hand() -> None:
    a = torch.tensor([[[0.0, 0, 0], [4, 0, 0]]])
    b = torch.tensor([[[1.0, 0, 0]]])
    assert chamfer_distance(a, b).tolist() == [(1 + 9) / 2 + 1]


@pytest.mark.parametrize("impl", ["cpu", "triton"])
@pytest.mark.parametrize("sizes", [(17, 11), (1, 5), (6, 1)])
def test_agrees_with_the_reference(impl: str, sizes: tuple[int, int]) -> None:
    exact = [t.requires_grad_() for t in sets(2, *sizes)]
    plain = [t.detach().float().requires_grad_() for t in exact]
    wanted, got = chamfer_distance_reference(*exact), chamfer_distance(*plain, impl=impl)
    torch.testing.assert_close(got.double(), wanted, rtol=1e-5, atol=1e-6)
    grad = torch.tensor([1.0, -2.0], dtype=torch.float64)
    wanted.backward(grad)
    got.backward(grad.float())
    for a, b in zip(exact, plain, strict=True):
        torch.testing.assert_close(b.grad.double(), a.grad, rtol=1e-4, atol=1e-5)


def test_gradients_of_the_reference() -> None:
    tensors = [t.requires_grad_() for t in sets(1, 4, 3)]
    assert torch.autograd.gradcheck(chamfer_distance_reference, tensors)


def test_symmetric_zero_on_itself_and_blind_to_order_and_mates() -> None:
    a, b = sets()
    torch.testing.assert_close(chamfer_distance(a, b), chamfer_distance(b, a))
    assert not chamfer_distance(a, a.flip(1)).any()
    torch.testing.assert_close(
        chamfer_distance(a[:, torch.randperm(17)], b), chamfer_distance(a, b)
    )
    assert torch.equal(chamfer_distance(a, b)[:1], chamfer_distance(a[:1], b[:1]))


def test_errors_say_what_is_wrong() -> None:
    a, b = sets()
    with pytest.raises(ValueError, match=r"b must be \(B, M, 3\) with B = 3 from a"):
        chamfer_distance(a, b[:2])
    with pytest.raises(ValueError, match="a and b must have points, got 17 and 0 a set"):
        chamfer_distance(a, b[:, :0])


def test_compiles_without_a_break() -> None:
    a, b = sets(dtype=torch.float32)
    compiled = torch.compile(chamfer_distance, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(a, b), chamfer_distance(a, b))
