"""Layers of neurons: explicit membranes, no leak, a learnt leak, the same as spikingjelly's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pcmamba.nn import IF, LIF, PLIF, Neuron, NormNeuron, Rectifier

RESETS: list[dict[str, Any]] = [
    {},
    {"v_reset": None},
    {"v_reset": 0.1, "detach_reset": False},
    {"v_reset": None, "detach_reset": False},
]
KINDS = [LIF, IF, PLIF]


def currents(steps: int = 9, *shape: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return 1.4 * torch.randn(steps, *(shape or (4, 6)), generator=draw)


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_with_the_membrane_give_the_bits_of_one_call(kind: type[Neuron]) -> None:
    neuron, x = kind(), currents()
    whole, end = neuron(x)
    first, middle = neuron(x[:4])
    second, last = neuron(x[4:], middle)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(last, end)
    assert 0.02 < float(whole.detach().mean()) < 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_remembered_and_neighbours_never_leak(kind: type[Neuron]) -> None:
    neuron, x = kind(), currents()
    spikes, _ = neuron(x)
    assert torch.equal(neuron(x)[0], spikes)
    assert torch.equal(neuron(x[:, 2:3])[0], spikes[:, 2:3])
    assert not list(neuron.buffers())


def test_without_a_leak_currents_add_up() -> None:
    x = torch.tensor([[0.25], [0.25], [0.25], [0.25], [-3.0]])
    spikes, v = IF()(x)
    assert spikes.flatten().tolist() == [0, 0, 0, 1, 0]
    assert v.item() == -3.0


@pytest.mark.parametrize("options", RESETS, ids=str)
@pytest.mark.parametrize("decay_input", [True, False])
def test_a_learnt_leak_is_the_fixed_one_with_a_gradient(
    decay_input: bool, options: dict[str, Any]
) -> None:
    fixed, learnt = (kind(2.0, decay_input=decay_input, **options) for kind in (LIF, PLIF))
    assert learnt.tau == 2.0
    results = []
    for neuron in (fixed, learnt):
        x = currents().requires_grad_()
        spikes, v = neuron(x)
        weights = torch.randn(spikes.shape, generator=torch.Generator().manual_seed(1))
        results.append([spikes, v, *torch.autograd.grad((spikes * weights).sum() + v.sum(), x)])
    # sigmoid(0) = 1 / 2 exactly, so that products are the quotients.
    assert torch.equal(results[0][0], results[1][0])
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_the_leak_is_the_slope_of_the_membranes() -> None:
    neuron = PLIF(3.0, v_threshold=50.0).double()
    x = currents().double()
    _, v = neuron(x)
    v.sum().backward()
    step, ends = 1e-6, []
    for sign in (-1, 1):
        moved = PLIF(3.0, v_threshold=50.0).double()
        with torch.no_grad():
            moved.w += sign * step
        ends.append(moved(x)[1].sum())
    slope = (ends[1] - ends[0]) / (2 * step)
    torch.testing.assert_close(neuron.w.grad, slope.detach(), rtol=1e-6, atol=1e-8)


def test_currents_are_normalised_over_channels() -> None:
    layer = NormNeuron(6, LIF(v_threshold=1e9))
    x = 5 + 3 * currents(8, 4, 6)
    assert not layer(x)[0].any()
    seen = NormNeuron(6, Rectifier())(x)[0]
    wanted = torch.nn.BatchNorm1d(6)(x.flatten(0, 1)).relu().view(x.shape)
    torch.testing.assert_close(seen, wanted)
    torch.testing.assert_close(NormNeuron(6, Rectifier(), "none")(x)[0], x.relu())


def test_errors() -> None:
    with pytest.raises(ValueError, match="tau must be above 1 and finite, got inf; IF has no leak"):
        PLIF(float("inf"))
