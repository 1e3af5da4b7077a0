import sys

import pytest
import torch

from pcmamba.ops.segment import segment_reduce

REDUCTIONS = ["sum", "mean", "max", "min"]
OFFSETS = torch.tensor([0, 3, 3, 4, 9])


def looped(values, offsets, reduce):
    """Reduce one slice after another."""
    one = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin}[reduce]
    bounds = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    parts = [
        one(values[a:b], 0) if a < b else values.new_zeros(values.shape[1:]) for a, b in bounds
    ]
    return torch.stack(parts)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize(
    ("reduce", "wanted"),
    [("sum", [3, 0, 5]), ("mean", [1, 0, 5]), ("max", [4, 0, 5]), ("min", [-2, 0, 5])],
)
def test_five_rows_by_hand(reduce, wanted):
    values = torch.tensor([1.0, -2.0, 4.0, 5.0])
    found = segment_reduce(values, torch.tensor([0, 3, 3, 4]), reduce)
    assert found.tolist() == wanted


@pytest.mark.parametrize("shape", [(9,), (9, 1), (9, 4), (9, 2, 3)])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_values_and_gradients_equal_a_loop(reduce, shape):
    one, two = (draw(*shape).requires_grad_() for _ in range(2))
    found, wanted = segment_reduce(one, OFFSETS, reduce), looped(two, OFFSETS, reduce)
    torch.testing.assert_close(found, wanted)
    weight = draw(*found.shape, seed=1)
    (found * weight).sum().backward()
    (wanted * weight).sum().backward()
    torch.testing.assert_close(one.grad, two.grad)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_gradcheck(reduce):
    values = draw(9, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: segment_reduce(v, OFFSETS, reduce), values)


@pytest.mark.parametrize("reduce", ["max", "min"])
def test_rows_that_tie_share_the_gradient(reduce):
    values = torch.tensor([2.0, 2.0, 2.0], requires_grad=True)
    segment_reduce(values, torch.tensor([0, 2, 3]), reduce).sum().backward()
    assert values.grad.tolist() == [0.5, 0.5, 1.0]


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_order_inside_a_segment_does_not_matter(reduce):
    values = draw(9, 3)
    shuffled = values[[2, 0, 1, 3, 8, 5, 4, 7, 6]]
    torch.testing.assert_close(
        segment_reduce(values, OFFSETS, reduce), segment_reduce(shuffled, OFFSETS, reduce)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_types_are_accumulated_in_float32(dtype):
    values = torch.cat([torch.full((1,), 2048.0), torch.ones(4096)]).to(dtype)
    found = segment_reduce(values, torch.tensor([0, 4097]), "sum")
    assert found.dtype == dtype
    assert float(found) == 6144


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_nothing_gives_zeros_and_takes_a_gradient(reduce):
    for shape, offsets in (((0, 4), [0, 0, 0]), ((0, 4), [0]), ((5, 0), [0, 2, 5])):
        values = torch.zeros(shape, requires_grad=True)
        found = segment_reduce(values, torch.tensor(offsets), reduce)
        assert found.shape == (len(offsets) - 1, *shape[1:])
        assert not found.any()
        found.sum().backward()
        assert values.grad.shape == shape


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_strided_rows_and_equal_bits_in_every_run(reduce):
    wide = draw(257, 10, dtype=torch.float32)
    strided = wide.t()[::2].t()
    offsets = torch.tensor([0, 63, 64, 200, 257])
    first = segment_reduce(strided, offsets, reduce)
    assert torch.equal(first, segment_reduce(strided, offsets, reduce))
    torch.testing.assert_close(first, looped(strided, offsets, reduce))


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_nan_stays_in_its_segment(reduce):
    values = draw(9, 1)
    values[1] = torch.nan
    assert segment_reduce(values, OFFSETS, reduce).isnan().flatten().tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_compiles_without_a_graph_break(reduce):
    values = draw(9, 2, dtype=torch.float32).requires_grad_()
    compiled = torch.compile(segment_reduce, backend="aot_eager", fullgraph=True)
    found = compiled(values, OFFSETS, reduce)
    assert torch.equal(found, segment_reduce(values, OFFSETS, reduce))
    (grad,) = torch.autograd.grad(found.square().sum(), values)
    (wanted,) = torch.autograd.grad(segment_reduce(values, OFFSETS, reduce).square().sum(), values)
    assert torch.equal(grad, wanted)


def test_errors_say_what_must_hold():
    values = draw(9, 2)
    with pytest.raises(ValueError, match=r"reduce must be one of .*Did you mean 'mean'"):
        segment_reduce(values, OFFSETS, "maen")
    with pytest.raises(ValueError, match="offsets must rise from 0 to 9"):
        segment_reduce(values, OFFSETS[:-1])
    with pytest.raises(ValueError, match=r"values must be \(total, \.\.\.\)"):
        segment_reduce(values.sum(), OFFSETS)
    with pytest.raises(TypeError, match=r"values must be floating point, got torch\.int64"):
        segment_reduce(values.long(), OFFSETS)
    with pytest.raises(ValueError, match="impl must be one of"):
        segment_reduce(values, OFFSETS, impl="triton")


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_scatter", None)
    with pytest.raises(ImportError, match=r"torch_scatter must be installed .*make scatter"):
        segment_reduce(draw(9, 2), OFFSETS, impl="torch_scatter")


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_torch_scatter_agrees(reduce):
    pytest.importorskip("torch_scatter")
    one, two = (draw(9, 2, 3).requires_grad_() for _ in range(2))
    found = segment_reduce(one, OFFSETS, reduce, impl="torch_scatter")
    wanted = segment_reduce(two, OFFSETS, reduce)
    torch.testing.assert_close(found, wanted)
    weight = draw(*found.shape, seed=1)
    (found * weight).sum().backward()
    (wanted * weight).sum().backward()
    torch.testing.assert_close(one.grad, two.grad)


@pytest.mark.gpu
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_a_gpu_agrees_and_repeats_itself(reduce):
    values = draw(9, 2, 3, dtype=torch.float32)
    wanted = segment_reduce(values, OFFSETS, reduce)
    runs = [segment_reduce(values.cuda(), OFFSETS.cuda(), reduce) for _ in range(2)]
    assert torch.equal(*runs)
    torch.testing.assert_close(runs[0].cpu(), wanted)
