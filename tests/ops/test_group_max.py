"""Maximum over neighbours: hand cases, laws, kernels against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pcmamba.ops._impl import interpreting
from pcmamba.ops.group import group
from pcmamba.ops.group_max import (
    group_max,
    group_max_bwd,
    group_max_fwd,
    group_max_reference,
)

# With a GPU Triton compiles, and takes its tensors only: see the tests marked gpu.
IMPLS = ["cpu", "triton"] if interpreting() else ["cpu"]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
EPS = {torch.float32: 2**-23, torch.bfloat16: 2**-7, torch.float16: 2**-10}
SIZES = [
    pytest.param((1, 1, 1, 1, 1), id="ones"),
    pytest.param((2, 9, 7, 3, 5), id="odd"),
    pytest.param((1, 20, 6, 1, 17), id="one neighbour"),
    pytest.param((1, 3, 1, 40, 16), id="one query, crowded points"),
]


def inputs(
    sizes: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, a neighbour table with padding, centres and a gradient."""
    clouds, num_points, queries, k, channels = sizes
    draw = torch.Generator().manual_seed(seed)
    feat = torch.randn(clouds, num_points, channels, generator=draw).to(dtype)
    idx = torch.randint(-1, num_points, (clouds, queries, k), generator=draw)
    centre = torch.randn(clouds, queries, channels, generator=draw).to(dtype)
    grad = torch.randn(clouds, queries, channels, generator=draw).to(dtype)
    return feat.requires_grad_(), idx, centre.requires_grad_(), grad


def run(feat: Tensor, idx: Tensor, centre: Tensor, grad: Tensor, impl: str) -> list[Tensor]:
    """Result and both gradients."""
    out = group_max(feat, idx, centre=centre, impl=impl)
    return [out.detach(), *torch.autograd.grad(out, (feat, centre), grad)]


def exact(feat: Tensor, idx: Tensor, centre: Tensor, grad: Tensor) -> list[Tensor]:
    wide = [tensor.detach().double().requires_grad_() for tensor in (feat, centre)]
    return run(wide[0], idx, wide[1], grad.double(), "reference")


def assert_as_good_as_eager(actual: Tensor, eager: Tensor, truth: Tensor) -> None:
    error = (actual.double() - truth).abs().max()
    allowed = 2 * (eager.double() - truth).abs().max()
    assert actual.dtype == eager.dtype
    assert error <= allowed + 4 * EPS[actual.dtype] * truth.abs().max()


def test_by_hand() -> None:
    feat = torch.tensor([[[1.0, 9.0], [3.0, 4.0], [5.0, 6.0]]], dtype=torch.float64)
    idx = torch.tensor([[[2, 0], [1, -1], [-1, -1]]])
    centre = torch.tensor([[[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]]], dtype=torch.float64)
    plain = [[[5.0, 9.0], [3.0, 4.0], [0.0, 0.0]]]
    added = [[[15.0, 29.0], [33.0, 44.0], [0.0, 0.0]]]
    assert group_max_reference(feat, idx).tolist() == plain
    assert group_max_reference(feat, idx, centre=centre).tolist() == added
    for impl in IMPLS:
        assert group_max(feat.float(), idx, impl=impl).tolist() == plain
        assert group_max(feat.float(), idx, centre=centre.float(), impl=impl).tolist() == added


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_the_first_of_equal_neighbours_gets_the_gradient(impl: str) -> None:
    feat = torch.tensor([[[1.0], [7.0], [7.0], [-1.0]]], requires_grad=True)
    centre = torch.zeros(1, 3, 1, requires_grad=True)
    idx = torch.tensor([[[0, 2, 1], [1, -1, 2], [-1, -1, -1]]])
    out = group_max(feat, idx, centre=centre, impl=impl)
    out.backward(torch.tensor([[[1.0], [2.0], [4.0]]]))
    assert feat.grad.flatten().tolist() == [0.0, 2.0, 1.0, 0.0]
    assert centre.grad.flatten().tolist() == [1.0, 2.0, 0.0]


def test_reference_gradcheck() -> None:
    feat, idx, centre, _ = inputs((2, 4, 3, 3, 2), torch.float64)
    assert torch.autograd.gradcheck(lambda f, c: group_max(f, idx, centre=c), (feat, centre))


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients(sizes: tuple[int, ...], impl: str) -> None:
    for dtype in DTYPES if sizes == (2, 9, 7, 3, 5) else DTYPES[:1]:
        case = inputs(sizes, dtype)
        for actual, eager, truth in zip(
            run(*case, impl), run(*case, "reference"), exact(*case), strict=True
        ):
            assert_as_good_as_eager(actual, eager, truth)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cpu_rounds_like_torch_past_every_block(dtype: torch.dtype) -> None:
    case = inputs((2, 257, 63, 12, 130), dtype)
    actual, eager = run(*case, "cpu"), run(*case, "reference")
    assert torch.equal(actual[0], eager[0]) and torch.equal(actual[2], eager[2])
    assert_as_good_as_eager(actual[1], eager[1], exact(*case)[1])


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
@pytest.mark.parametrize(
    "sizes", [(0, 3, 2, 2, 4), (2, 3, 0, 2, 4), (2, 3, 2, 0, 4), (2, 3, 2, 2, 0)]
)
def test_empty(sizes: tuple[int, ...], impl: str) -> None:
    feat, idx, _, grad = inputs(sizes)
    out = group_max(feat, idx, impl=impl)
    (dfeat,) = torch.autograd.grad(out, feat, grad)
    assert out.shape == grad.shape and not out.any()
    assert not dfeat.any() and dfeat.shape == feat.shape


@pytest.mark.parametrize("impl", IMPLS)
def test_it_is_the_maximum_of_the_grouped_rows(impl: str) -> None:
    feat, idx, centre, _ = inputs((2, 9, 7, 3, 5))
    idx = idx.clamp(min=0)
    grouped = group(feat, idx, centre=centre, impl=impl)
    assert torch.equal(group_max(feat, idx, centre=centre, impl=impl), grouped.amax(2))


@pytest.mark.parametrize("impl", IMPLS)
def test_strided_inputs(impl: str) -> None:
    feat, idx, centre, grad = (tensor.detach() for tensor in inputs((2, 9, 7, 3, 5)))
    spread = torch.randn(2, 9, 11)
    spread[..., 1::2] = feat
    strided = [
        spread[..., 1::2].requires_grad_(),
        idx.transpose(1, 2).contiguous().transpose(1, 2),
        centre.transpose(0, 1).contiguous().transpose(0, 1).requires_grad_(),
        grad.permute(2, 0, 1).contiguous().permute(1, 2, 0),
    ]
    plain = [feat.requires_grad_(), idx, centre.requires_grad_(), grad]
    for actual, expected in zip(run(*strided, impl), run(*plain, impl), strict=True):
        assert torch.equal(actual, expected)


@pytest.mark.parametrize("impl", IMPLS)
def test_numbering_of_the_points_changes_nothing(impl: str) -> None:
    feat, idx, centre, grad = inputs((1, 9, 7, 3, 5))
    perm = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    renamed = torch.where(idx < 0, -1, perm.argsort()[idx.clamp(min=0)])
    out, dfeat, dcentre = run(feat, idx, centre, grad, impl)
    moved = feat.detach()[:, perm].requires_grad_()
    again, dmoved, dcentre_again = run(moved, renamed, centre, grad, impl)
    assert torch.equal(again, out) and torch.equal(dcentre_again, dcentre)
    assert torch.equal(dmoved, dfeat[:, perm])


@pytest.mark.parametrize("impl", IMPLS)
def test_batch_mates_and_a_second_run_change_nothing(impl: str) -> None:
    feat, idx, centre, grad = (tensor.detach() for tensor in inputs((3, 9, 7, 3, 5)))

    def at(rows: slice) -> list[Tensor]:
        return run(
            feat[rows].requires_grad_(), idx[rows], centre[rows].requires_grad_(), grad[rows], impl
        )

    whole = at(slice(0, 3))
    assert all(torch.equal(a, b) for a, b in zip(whole, at(slice(0, 3)), strict=True))
    assert all(torch.equal(a[1:2], b) for a, b in zip(whole, at(slice(1, 2)), strict=True))


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_nan_and_infinity(impl: str) -> None:
    feat = torch.tensor([[[1.0], [float("nan")], [-float("inf")], [3.0]]], requires_grad=True)
    idx = torch.tensor([[[0, 1, 3], [2, -1, 2], [0, 2, 3]]])
    out = group_max(feat, idx, impl=impl)
    assert str(out.flatten().tolist()) == "[nan, -inf, 3.0]"
    out.backward(torch.tensor([[[1.0], [2.0], [4.0]]]))
    assert feat.grad.flatten().tolist() == [0.0, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("impl", IMPLS)
def test_registration(impl: str) -> None:
    feat, idx, centre, grad = inputs((1, 3, 2, 2, 2))
    torch.library.opcheck(group_max_fwd, (feat, idx, centre, impl))
    torch.library.opcheck(group_max_fwd, (feat, idx, None, impl))
    winner = group_max_fwd(feat, idx, centre, impl)[1]
    for has_centre in (True, False):
        torch.library.opcheck(group_max_bwd, (grad, idx, winner, 3, has_centre, impl))


def test_compiles_without_a_graph_break() -> None:
    compiled = torch.compile(
        lambda feat, idx, centre: group_max(feat, idx, centre=centre),
        fullgraph=True,
        backend="aot_eager",
        dynamic=True,
    )
    for sizes in ((2, 9, 7, 3, 5), (3, 8, 6, 4, 7)):
        feat, idx, centre, grad = inputs(sizes)
        out = compiled(feat, idx, centre)
        graph = [out.detach(), *torch.autograd.grad(out, (feat, centre), grad)]
        for actual, expected in zip(graph, run(feat, idx, centre, grad, "auto"), strict=True):
            assert torch.equal(actual, expected)


def test_errors() -> None:
    feat, idx, centre, _ = inputs((1, 3, 2, 2, 4))
    with pytest.raises(ValueError, match=r"idx must be \(B, M, K\), got \(2, 2\)"):
        group_max(feat, idx[0])
    with pytest.raises(TypeError, match=r"idx must be int64, got torch.int32; convert it"):
        group_max(feat, idx.int())
    with pytest.raises(TypeError, match=r"centre must have the dtype of feat, torch.float32"):
        group_max(feat, idx, centre=centre.bfloat16())
    with pytest.raises(
        TypeError, match=r"feat must be float16, bfloat16 or float32 for impl='cpu'"
    ):
        group_max(feat.double(), idx, impl="cpu")
    with pytest.raises(ValueError, match=r"idx must have at most 255 neighbours .* K = 256"):
        group_max(feat, idx.repeat(1, 1, 128))
    with pytest.raises(NotImplementedError, match="group_max must be differentiated once"):
        out = group_max(feat, idx).square().sum()
        torch.autograd.grad(out, feat, create_graph=True)[0].sum().backward()
    for impl in ("reference", *IMPLS):
        with pytest.raises(ValueError, match=r"idx must lie in \[-1, 2\].*got 0 to 3"):
            group_max(feat, torch.tensor([[[0, 3]] * 2]), impl=impl)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sizes", [*SIZES, (4, 1024, 512, 24, 384), (2, 257, 63, 12, 195)])
def test_on_the_gpu(sizes: tuple[int, ...], dtype: torch.dtype) -> None:
    case = [tensor.detach().cuda() for tensor in inputs(sizes, dtype)]
    case = [case[0].requires_grad_(), case[1], case[2].requires_grad_(), case[3]]
    actual = run(*case, "triton")
    for result, eager, truth in zip(actual, run(*case, "reference"), exact(*case), strict=True):
        assert_as_good_as_eager(result, eager, truth)
    assert all(torch.equal(a, b) for a, b in zip(actual, run(*case, "triton"), strict=True))
