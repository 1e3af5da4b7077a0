"""One deviation for each cloud: hand cases, laws, kernels against the reference."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pcmamba.ops._impl import interpreting
from pcmamba.ops.group_std import group_std, group_std_bwd, group_std_fwd, group_std_reference

# With a GPU Triton compiles, and takes its tensors only: see the tests marked gpu.
IMPLS = ["cpu", "triton"] if interpreting() else ["cpu"]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
EPS = {torch.float32: 2**-23, torch.bfloat16: 2**-7, torch.float16: 2**-10}
SIZES = [
    pytest.param((1, 1, 1, 1, 2), id="two values"),
    pytest.param((2, 9, 7, 3, 5), id="odd"),
    pytest.param((1, 20, 6, 1, 17), id="one neighbour"),
    pytest.param((1, 3, 17, 2, 1), id="one channel, two blocks"),
    pytest.param((1, 3, 1, 40, 16), id="one query, crowded points"),
]


def inputs(
    sizes: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Features, a neighbour table without padding and anchors."""
    clouds, num_points, queries, k, channels = sizes
    draw = torch.Generator().manual_seed(seed)
    feat = torch.randn(clouds, num_points, channels, generator=draw).to(dtype)
    idx = torch.randint(0, num_points, (clouds, queries, k), generator=draw)
    anchor = torch.randn(clouds, queries, channels, generator=draw).to(dtype)
    return feat.requires_grad_(), idx, anchor.requires_grad_()


def run(feat: Tensor, idx: Tensor, anchor: Tensor, impl: str) -> list[Tensor]:
    """Result and both gradients, every cloud with a gradient of its own."""
    sigma = group_std(feat, idx, anchor, impl=impl)
    grad = torch.arange(1, len(feat) + 1, device=feat.device).to(sigma.dtype)
    return [sigma.detach(), *torch.autograd.grad(sigma, (feat, anchor), grad)]


def exact(feat: Tensor, idx: Tensor, anchor: Tensor) -> list[Tensor]:
    wide = [tensor.detach().double().requires_grad_() for tensor in (feat, anchor)]
    return run(wide[0], idx, wide[1], "reference")


def assert_as_good_as_eager(actual: Tensor, eager: Tensor, truth: Tensor) -> None:
    error = (actual.double() - truth).abs().max()
    allowed = 2 * (eager.double() - truth).abs().max()
    assert actual.dtype == eager.dtype
    assert error <= allowed + 4 * EPS[actual.dtype] * truth.abs().max()


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_by_hand(impl: str) -> None:
    feat = torch.tensor([[[1.0], [4.0], [9.0]]], requires_grad=True)
    idx = torch.tensor([[[0, 1], [1, 2]]])
    anchor = torch.tensor([[[1.0], [4.0]]], requires_grad=True)
    sigma = group_std(feat, idx, anchor, impl=impl)
    # Differences 0, 3, 0, 5: mean 2, squares about it 4 + 1 + 4 + 9 = 18.
    assert sigma.item() == pytest.approx(math.sqrt(18 / 3), rel=1e-6)
    sigma.sum().backward()
    unit = 3 * math.sqrt(18 / 3)
    assert feat.grad.flatten().tolist() == pytest.approx([-2 / unit, -1 / unit, 3 / unit])
    assert anchor.grad.flatten().tolist() == pytest.approx([1 / unit, -1 / unit])


def test_reference_gradcheck() -> None:
    feat, idx, anchor = inputs((2, 4, 3, 3, 2), torch.float64)
    assert torch.autograd.gradcheck(lambda f, a: group_std(f, idx, a), (feat, anchor))


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients(sizes: tuple[int, ...], impl: str) -> None:
    for dtype in DTYPES if sizes == (2, 9, 7, 3, 5) else DTYPES[:1]:
        case = inputs(sizes, dtype)
        for actual, eager, truth in zip(
            run(*case, impl), run(*case, "reference"), exact(*case), strict=True
        ):
            assert_as_good_as_eager(actual, eager, truth)


def test_a_size_past_every_block() -> None:
    case = inputs((2, 257, 63, 12, 130))
    for actual, eager, truth in zip(
        run(*case, "cpu"), run(*case, "reference"), exact(*case), strict=True
    ):
        assert_as_good_as_eager(actual, eager, truth)


@pytest.mark.parametrize("impl", IMPLS)
def test_result_is_float32_for_half_inputs(impl: str) -> None:
    feat, idx, anchor = inputs((1, 9, 7, 3, 5), torch.bfloat16)
    sigma = group_std(feat, idx, anchor, impl=impl)
    truth = group_std(feat.double(), idx, anchor.double())
    assert sigma.dtype == torch.float32
    torch.testing.assert_close(sigma.double(), truth, rtol=2e-6, atol=0)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_large_mean_costs_no_digits(impl: str) -> None:
    feat, idx, anchor = inputs((1, 9, 20, 3, 5))
    # Multiples of 1/16 keep the shifted differences exact in float32.
    feat, anchor = ((16 * tensor.detach()).round() / 16 for tensor in (feat, anchor))
    near = group_std(feat.double(), idx, anchor.double())
    far = group_std(feat + 2**15, idx, anchor, impl=impl)
    torch.testing.assert_close(far.double(), near, rtol=1e-6, atol=0)


@pytest.mark.parametrize("impl", IMPLS)
def test_an_outlier_first_costs_no_digits(impl: str) -> None:
    feat, _, anchor = inputs((1, 9, 20, 3, 5))
    feat, anchor = feat.detach(), anchor.detach()
    idx = torch.randint(1, 9, (1, 20, 3), generator=torch.Generator().manual_seed(0))
    idx[0, 0, 0], feat[0, 0] = 0, 1e4
    truth = group_std(feat.double(), idx, anchor.double())
    torch.testing.assert_close(
        group_std(feat, idx, anchor, impl=impl).double(), truth, rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_equal_differences_give_zero_and_no_gradient(impl: str) -> None:
    feat = torch.full((2, 5, 3), 0.1, requires_grad=True)
    anchor = torch.full((2, 20, 3), -1 / 3, requires_grad=True)
    idx = torch.arange(120).view(2, 20, 3) % 5
    sigma, dfeat, danchor = run(feat, idx, anchor, impl)
    if impl != "reference":
        assert not sigma.any()
    assert sigma.max() < 1e-6
    if not sigma.any():
        assert not dfeat.any() and not danchor.any()


@pytest.mark.parametrize("impl", IMPLS)
def test_batch_mates_change_nothing(impl: str) -> None:
    feat, idx, anchor = (tensor.detach() for tensor in inputs((3, 9, 7, 3, 5)))

    def at(rows: slice) -> list[Tensor]:
        own = feat[rows].requires_grad_(), idx[rows], anchor[rows].requires_grad_()
        sigma = group_std(*own, impl=impl)
        return [sigma.detach(), *torch.autograd.grad(sigma.sum(), (own[0], own[2]))]

    for whole, alone in zip(at(slice(0, 3)), at(slice(1, 2)), strict=True):
        assert torch.equal(whole[1:2], alone)


@pytest.mark.parametrize("impl", IMPLS)
def test_order_of_points_queries_and_neighbours_means_nothing(impl: str) -> None:
    feat, idx, anchor = (tensor.detach() for tensor in inputs((1, 9, 7, 3, 5)))
    draw = torch.Generator().manual_seed(1)
    points, queries = torch.randperm(9, generator=draw), torch.randperm(7, generator=draw)
    moved = points.argsort()[idx][:, queries].flip(2)
    again = group_std(feat[:, points], moved, anchor[:, queries], impl=impl)
    torch.testing.assert_close(again, group_std(feat, idx, anchor, impl=impl))


@pytest.mark.parametrize("impl", IMPLS)
def test_scales_with_the_features_and_ignores_a_shift(impl: str) -> None:
    feat, idx, anchor = (tensor.detach() for tensor in inputs((2, 9, 7, 3, 5)))
    sigma = group_std(feat, idx, anchor, impl=impl)
    assert torch.equal(group_std(4 * feat, idx, 4 * anchor, impl=impl), 4 * sigma)
    torch.testing.assert_close(group_std(feat + 1, idx, anchor, impl=impl), sigma)


@pytest.mark.parametrize("impl", IMPLS)
def test_same_bits_in_every_run(impl: str) -> None:
    case = inputs((2, 9, 20, 3, 5))
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
def test_strided_inputs(impl: str) -> None:
    feat, idx, anchor = (tensor.detach() for tensor in inputs((2, 9, 7, 3, 5)))
    spread = torch.randn(2, 9, 11)
    spread[..., 1::2] = feat
    strided = [
        spread[..., 1::2].requires_grad_(),
        idx.transpose(1, 2).contiguous().transpose(1, 2),
        anchor.transpose(0, 1).contiguous().transpose(0, 1).requires_grad_(),
    ]
    plain = [feat.requires_grad_(), idx, anchor.requires_grad_()]
    assert not any(tensor.is_contiguous() for tensor in strided)
    for actual, expected in zip(run(*strided, impl), run(*plain, impl), strict=True):
        assert torch.equal(actual, expected)


@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_no_cloud(impl: str) -> None:
    sigma, dfeat, danchor = run(*inputs((0, 3, 2, 2, 4)), impl)
    assert sigma.shape == (0,) and dfeat.shape == (0, 3, 4) and danchor.shape == (0, 2, 4)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_nan_reaches_its_own_cloud_alone(impl: str) -> None:
    feat, idx, anchor = (tensor.detach() for tensor in inputs((2, 9, 7, 3, 5)))
    feat[1, idx[1, 3, 1], 2] = float("nan")
    assert group_std(feat, idx, anchor, impl=impl).isnan().tolist() == [False, True]


@pytest.mark.parametrize("impl", IMPLS)
def test_registration(impl: str) -> None:
    feat, idx, anchor = inputs((1, 3, 2, 2, 2))
    sigma, mean = (tensor.detach() for tensor in group_std_fwd(feat, idx, anchor, impl))
    torch.library.opcheck(group_std_fwd, (feat, idx, anchor, impl))
    plain = feat.detach(), idx, anchor.detach()
    torch.library.opcheck(group_std_bwd, (torch.ones(1), *plain, sigma, mean, impl))


@pytest.mark.parametrize("impl", ["reference", "auto"])
def test_compiles_without_a_graph_break(impl: str) -> None:
    compiled = torch.compile(
        lambda feat, idx, anchor: group_std(feat, idx, anchor, impl=impl),
        fullgraph=True,
        backend="aot_eager",
        dynamic=True,
    )
    for sizes in ((2, 9, 7, 3, 5), (3, 8, 6, 4, 7)):
        feat, idx, anchor = inputs(sizes)
        eager = run(feat, idx, anchor, impl)
        sigma = compiled(feat, idx, anchor)
        grad = torch.arange(1.0, len(feat) + 1)
        graph = [sigma.detach(), *torch.autograd.grad(sigma, (feat, anchor), grad)]
        for actual, expected in zip(graph, eager, strict=True):
            torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("impl", IMPLS)
def test_differentiated_once(impl: str) -> None:
    feat, idx, anchor = inputs((1, 3, 2, 2, 2))
    (slope,) = torch.autograd.grad(
        group_std(feat, idx, anchor, impl=impl).sum(), feat, create_graph=True
    )
    with pytest.raises(NotImplementedError, match="group_std must be differentiated once"):
        slope.sum().backward()


def test_errors() -> None:
    feat, idx, anchor = inputs((1, 3, 2, 2, 4))
    with pytest.raises(ValueError, match=r"anchor must be \(B, M, C\) with M = 2 from idx"):
        group_std(feat, idx, anchor[:, :1])
    with pytest.raises(TypeError, match=r"idx must be int64, got torch\.int32"):
        group_std(feat, idx.int(), anchor)
    with pytest.raises(TypeError, match=r"anchor must have the floating dtype of feat"):
        group_std(feat, idx, anchor.bfloat16())
    with pytest.raises(TypeError, match=r"anchor must have the floating dtype of feat"):
        group_std(feat.long(), idx, anchor.long())
    with pytest.raises(
        TypeError, match=r"feat must be float16, bfloat16 or float32 for impl='cpu'"
    ):
        group_std(feat.double(), idx, anchor.double(), impl="cpu")
    with pytest.raises(
        ValueError, match=r"at least two differences .* got N, M, K, C = 3, 1, 1, 1"
    ):
        group_std(feat[..., :1], idx[:, :1, :1], anchor[:, :1, :1])
    with pytest.raises(ValueError, match=r"a point and .* got N, M, K, C = 0, 2, 2, 4"):
        group_std(feat[:, :0], idx, anchor)
    for impl in ("reference", *IMPLS):
        with pytest.raises(ValueError, match=r"idx must lie in \[0, 2\] \(padding is not allowed"):
            group_std(feat, torch.tensor([[[0, -1], [0, 1]]]), anchor, impl=impl)


def test_reference_is_the_definition() -> None:
    feat, idx, anchor = (tensor.detach() for tensor in inputs((2, 9, 7, 3, 5), torch.float64))
    for b in range(2):
        differences = torch.stack([feat[b, idx[b, m]] - anchor[b, m] for m in range(7)])
        squares = (differences - differences.mean()).square().sum()
        expected = (squares / (differences.numel() - 1)).sqrt()
        torch.testing.assert_close(group_std_reference(feat, idx, anchor)[b], expected)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sizes", [*SIZES, (4, 1024, 1024, 12, 192), (2, 257, 63, 12, 195)])
def test_on_the_gpu(sizes: tuple[int, ...], dtype: torch.dtype) -> None:
    feat, idx, anchor = (tensor.detach().cuda() for tensor in inputs(sizes, dtype))
    case = feat.requires_grad_(), idx, anchor.requires_grad_()
    actual = run(*case, "triton")
    for result, eager, truth in zip(actual, run(*case, "reference"), exact(*case), strict=True):
        assert_as_good_as_eager(result, eager, truth)
    assert all(torch.equal(a, b) for a, b in zip(actual, run(*case, "triton"), strict=True))
