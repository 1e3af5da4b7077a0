"""Gathering neighbours with their centre: hand cases, laws, kernels against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pcmamba.ops._impl import interpreting
from pcmamba.ops.group import group, group_bwd, group_fwd, group_reference

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
    grad = torch.randn(clouds, queries, k, channels, generator=draw).to(dtype)
    return feat.requires_grad_(), idx, centre.requires_grad_(), grad


def run(feat: Tensor, idx: Tensor, centre: Tensor, grad: Tensor, impl: str) -> list[Tensor]:
    """Result and both gradients."""
    out = group(feat, idx, centre=centre, impl=impl)
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
    feat = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]], dtype=torch.float64)
    idx = torch.tensor([[[2, 0], [1, -1]]])
    centre = torch.tensor([[[10.0, 20.0], [30.0, 40.0]]], dtype=torch.float64)
    plain = [[[[5.0, 6.0], [1.0, 2.0]], [[3.0, 4.0], [0.0, 0.0]]]]
    added = [[[[15.0, 26.0], [11.0, 22.0]], [[33.0, 44.0], [0.0, 0.0]]]]
    assert group_reference(feat, idx).tolist() == plain
    assert group_reference(feat, idx, centre=centre).tolist() == added
    for impl in IMPLS:
        assert group(feat.float(), idx, impl=impl).tolist() == plain
        assert group(feat.float(), idx, centre=centre.float(), impl=impl).tolist() == added


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_gradients_by_hand(impl: str) -> None:
    feat = torch.zeros(1, 3, 1, requires_grad=True)
    centre = torch.zeros(1, 2, 1, requires_grad=True)
    idx = torch.tensor([[[2, 0], [2, -1]]])
    out = group(feat, idx, centre=centre, impl=impl)
    out.backward(torch.tensor([[[[1.0], [2.0]], [[4.0], [8.0]]]]))
    assert feat.grad.flatten().tolist() == [2.0, 0.0, 5.0]
    assert centre.grad.flatten().tolist() == [3.0, 4.0]


def test_reference_gradcheck() -> None:
    feat, idx, centre, _ = inputs((2, 4, 3, 3, 2), torch.float64)
    assert torch.autograd.gradcheck(lambda f, c: group(f, idx, centre=c), (feat, centre))
    assert torch.autograd.gradgradcheck(lambda f, c: group(f, idx, centre=c), (feat, centre))


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients(sizes: tuple[int, ...], impl: str) -> None:
    for dtype in DTYPES if sizes == (2, 9, 7, 3, 5) else DTYPES[:1]:
        case = inputs(sizes, dtype)
        for actual, eager, truth in zip(
            run(*case, impl), run(*case, "reference"), exact(*case), strict=True
        ):
            assert_as_good_as_eager(actual, eager, truth)


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_half_precision_of_differences(impl: str) -> None:
    feat, idx, centre, grad = inputs((2, 9, 7, 3, 5))
    far = [(feat.detach() + 1000).requires_grad_(), (centre.detach() - 1000).requires_grad_()]
    out = group(far[0], idx, centre=far[1], dtype=torch.bfloat16, impl=impl)
    wanted = group_reference(feat, idx, centre=centre).masked_fill((idx < 0)[..., None], 0)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), wanted, rtol=2**-7, atol=2e-4)
    dfeat, dcentre = torch.autograd.grad(out, far, grad.bfloat16())
    assert dfeat.dtype == dcentre.dtype == torch.float32
    rounded = grad.bfloat16().float().masked_fill((idx < 0)[..., None], 0)
    torch.testing.assert_close(dcentre, rounded.sum(2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_cpu_rounds_like_torch(dtype: torch.dtype) -> None:
    feat, idx, centre, _ = inputs((2, 30, 20, 6, 37), dtype)
    assert torch.equal(group(feat, idx, centre=centre), group_reference(feat, idx, centre=centre))


def test_a_size_past_every_block() -> None:
    case = inputs((2, 257, 63, 12, 130))
    for actual, eager, truth in zip(
        run(*case, "cpu"), run(*case, "reference"), exact(*case), strict=True
    ):
        assert_as_good_as_eager(actual, eager, truth)


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
@pytest.mark.parametrize(
    "sizes", [(0, 3, 2, 2, 4), (2, 3, 0, 2, 4), (2, 3, 2, 0, 4), (2, 3, 2, 2, 0)]
)
def test_empty(sizes: tuple[int, ...], impl: str) -> None:
    feat, idx, centre, grad = inputs(sizes)
    out, dfeat, dcentre = run(feat, idx, centre, grad, impl)
    assert out.shape == grad.shape
    assert not dfeat.any() and dfeat.shape == feat.shape
    assert not dcentre.any() and dcentre.shape == centre.shape


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_no_point_and_all_padding(impl: str) -> None:
    feat, centre = torch.zeros(1, 0, 3, requires_grad=True), torch.ones(1, 2, 3, requires_grad=True)
    out = group(feat, torch.full((1, 2, 2), -1), centre=centre, impl=impl)
    out.backward(torch.ones_like(out))
    assert not out.any() and not centre.grad.any() and feat.grad.shape == feat.shape


@pytest.mark.parametrize("impl", IMPLS)
def test_strided_inputs(impl: str) -> None:
    feat, idx, centre, grad = (tensor.detach() for tensor in inputs((2, 9, 7, 3, 5)))
    spread = torch.randn(2, 9, 11)
    spread[..., 1::2] = feat
    strided = [
        spread[..., 1::2].requires_grad_(),
        idx.transpose(1, 2).contiguous().transpose(1, 2),
        centre.transpose(0, 1).contiguous().transpose(0, 1).requires_grad_(),
        grad.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0),
    ]
    plain = [feat.requires_grad_(), idx, centre.requires_grad_(), grad]
    assert not any(tensor.is_contiguous() for tensor in strided)
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
def test_order_of_the_queries_goes_through(impl: str) -> None:
    feat, idx, centre, _ = inputs((1, 9, 7, 3, 5))
    perm = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    moved = group(feat, idx[:, perm], centre=centre[:, perm], impl=impl)
    assert torch.equal(moved, group(feat, idx, centre=centre, impl=impl)[:, perm])


@pytest.mark.parametrize("impl", IMPLS)
def test_batch_mates_change_nothing(impl: str) -> None:
    feat, idx, centre, grad = (tensor.detach() for tensor in inputs((3, 9, 7, 3, 5)))

    def at(rows: slice) -> list[Tensor]:
        return run(
            feat[rows].requires_grad_(), idx[rows], centre[rows].requires_grad_(), grad[rows], impl
        )

    for whole, alone in zip(at(slice(0, 3)), at(slice(1, 2)), strict=True):
        assert torch.equal(whole[1:2], alone)


@pytest.mark.parametrize("impl", IMPLS)
def test_same_bits_in_every_run(impl: str) -> None:
    case = inputs((2, 9, 7, 3, 5))
    for first, second in zip(run(*case, impl), run(*case, impl), strict=True):
        assert torch.equal(first, second)


def test_same_bits_with_one_thread() -> None:
    case = inputs((2, 63, 63, 12, 65))
    several, threads = run(*case, "cpu"), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        single = run(*case, "cpu")
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(several, single, strict=True))


@pytest.mark.parametrize("impl", IMPLS)
def test_a_nan_stays_with_the_rows_that_name_it(impl: str) -> None:
    feat, idx, centre, _ = (tensor.detach() for tensor in inputs((1, 9, 7, 3, 5)))
    feat[0, 4] = float("nan")
    centre[0, 2] = float("inf")
    out = group(feat, idx, centre=centre, impl=impl)
    assert torch.equal(out.isnan().all(-1), idx == 4)
    assert torch.equal(out[0, 2].isinf().all(-1), (idx[0, 2] >= 0) & (idx[0, 2] != 4))


def test_other_dtypes_take_the_reference() -> None:
    labels = torch.tensor([[[3], [7]]])
    idx = torch.tensor([[[1, -1]]])
    assert group(labels, idx).flatten().tolist() == [7, 0]
    assert group(labels.double(), idx).dtype == torch.float64


@pytest.mark.parametrize("impl", IMPLS)
def test_registration(impl: str) -> None:
    feat, idx, centre, grad = inputs((1, 3, 2, 2, 2))
    torch.library.opcheck(group_fwd, (feat, idx, centre, torch.float32, impl))
    torch.library.opcheck(group_fwd, (feat, idx, None, torch.bfloat16, impl))
    torch.library.opcheck(group_bwd, (grad, idx, 3, True, torch.float32, impl))
    torch.library.opcheck(group_bwd, (grad, idx, 3, False, torch.bfloat16, impl))


@pytest.mark.parametrize("impl", ["reference", "auto"])
def test_compiles_without_a_graph_break(impl: str) -> None:
    compiled = torch.compile(
        lambda feat, idx, centre: group(feat, idx, centre=centre, impl=impl),
        fullgraph=True,
        backend="aot_eager",
        dynamic=True,
    )
    for sizes in ((2, 9, 7, 3, 5), (3, 8, 6, 4, 7)):
        feat, idx, centre, grad = inputs(sizes)
        eager = run(feat, idx, centre, grad, impl)
        out = compiled(feat, idx, centre)
        graph = [out.detach(), *torch.autograd.grad(out, (feat, centre), grad)]
        for actual, expected in zip(graph, eager, strict=True):
            torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("impl", IMPLS)
def test_differentiated_once(impl: str) -> None:
    feat, idx, _, _ = inputs((1, 3, 2, 2, 2))
    out = group(feat, idx, impl=impl).square().sum()
    (slope,) = torch.autograd.grad(out, feat, create_graph=True)
    with pytest.raises(NotImplementedError, match="group must be differentiated once"):
        slope.sum().backward()


def test_errors() -> None:
    feat, idx, centre, _ = inputs((1, 3, 2, 2, 4))
    with pytest.raises(ValueError, match=r"idx must be \(B, M, K\), got \(2, 2\)"):
        group(feat, idx[0])
    with pytest.raises(ValueError, match=r"centre must be \(B, M, C\) with C = 4 from feat"):
        group(feat, idx, centre=centre[..., :3])
    with pytest.raises(TypeError, match=r"idx must be int64, got torch.int32; convert it"):
        group(feat, idx.int())
    with pytest.raises(TypeError, match=r"centre must have the dtype of feat, torch.float32"):
        group(feat, idx, centre=centre.bfloat16())
    with pytest.raises(
        TypeError, match=r"feat must be float16, bfloat16 or float32 for impl='cpu'"
    ):
        group(feat.double(), idx, impl="cpu")
    with pytest.raises(ValueError, match="impl must be one of"):
        group(feat, idx, impl="nvrtc")
    for impl in ("reference", *IMPLS):
        with pytest.raises(ValueError, match=r"idx must lie in \[-1, 2\].*got 0 to 3"):
            group(feat, torch.tensor([[[0, 3]] * 2]), impl=impl)
        with pytest.raises(ValueError, match=r"idx must lie in \[-1, 2\].*got -2 to 0"):
            group(feat, torch.tensor([[[0, -2]] * 2]), impl=impl)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sizes", [*SIZES, (4, 1024, 1024, 12, 192), (2, 257, 63, 12, 195)])
def test_on_the_gpu(sizes: tuple[int, ...], dtype: torch.dtype) -> None:
    case = [tensor.detach().cuda() for tensor in inputs(sizes, dtype)]
    case = [case[0].requires_grad_(), case[1], case[2].requires_grad_(), case[3]]
    actual = run(*case, "triton")
    for result, eager, truth in zip(actual, run(*case, "reference"), exact(*case), strict=True):
        assert_as_good_as_eager(result, eager, truth)
    assert all(torch.equal(a, b) for a, b in zip(actual, run(*case, "triton"), strict=True))


@pytest.mark.gpu
def test_an_index_out_of_range_is_padding_on_the_gpu() -> None:
    feat = torch.ones(1, 3, 8, device="cuda", requires_grad=True)
    out = group(feat, torch.tensor([[[0, 3, -5]]], device="cuda"), impl="triton")
    out.sum().backward()
    assert out.sum(-1).flatten().tolist() == [8.0, 0.0, 0.0]
    assert feat.grad.sum(-1).flatten().tolist() == [8.0, 0.0, 0.0]
