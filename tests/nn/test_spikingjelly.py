"""Neurons against spikingjelly's own nodes: spikes, gradients, networks there and back."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pcmamba.models import create_model
from pcmamba.nn import IF, LIF, PLIF, Neuron, Rectifier, from_spikingjelly, to_spikingjelly
from pcmamba.nn.spikingjelly import SpikesAlone, SpikingJellyNeuron
from pcmamba.testing.clips import make_clips, settle

RESETS: list[dict[str, Any]] = [
    {},
    {"detach_reset": False},
    {"v_reset": None, "v_threshold": 0.8},
    {"v_reset": -0.3, "detach_reset": False},
    {"v_reset": None, "detach_reset": False},
]
SURROGATES = ["sigmoid", "atan", "triangle", "erf"]
KINDS = {
    "lif": lambda **options: LIF(**options),
    "lif, tau 1.7": lambda **options: LIF(1.7, decay_input=False, **options),
    "if": lambda **options: IF(**options),
    "plif": lambda **options: PLIF(3.0, **options),
    "plif, no decay": lambda **options: PLIF(1.4, decay_input=False, **options),
}


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("spikingjelly.activation_based.neuron")


def currents(*shape: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return 1.4 * torch.randn(shape, generator=draw)


def weights(like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("options", RESETS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_spikes_are_equal_and_gradients_close(
    library: Any, kind: str, options: dict[str, Any], surrogate: str
) -> None:
    ours = KINDS[kind](surrogate=surrogate, **options)
    theirs = to_spikingjelly(ours)
    assert isinstance(theirs, library.BaseNode)
    assert theirs.step_mode == "m"
    results = []
    for layer in (ours, theirs):
        x = (2 * currents(12, 5, 7)).requires_grad_()
        found = layer(x)
        spikes = found[0] if layer is ours else found
        leaves = [x, *layer.parameters()]
        results.append([spikes, *torch.autograd.grad((spikes * weights(spikes)).sum(), leaves)])
    assert 0.02 < float(results[0][0].detach().mean()) < 0.7
    assert torch.equal(results[0][0], results[1][0])
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_is_the_same_neuron(library: Any, kind: str) -> None:
    ours = KINDS[kind](v_reset=None, surrogate="atan", alpha=1.5, detach_reset=False)
    back = from_spikingjelly(to_spikingjelly(ours))
    assert type(back) is type(ours)
    skipped = ("_parameters", "_buffers", "_modules")
    options = [
        {k: v for k, v in vars(one).items() if k not in skipped and not k.endswith("hooks")}
        for one in (ours, back)
    ]
    assert options[0] == options[1]
    x = currents(6, 9)
    assert torch.equal(ours(x)[0], back(x)[0])
    assert torch.equal(ours(x)[1], back(x)[1])


@pytest.mark.parametrize("step_mode", ["m", "s"])
def test_a_network_gives_the_same_logits_and_lets_itself_be_watched(
    library: Any, step_mode: str
) -> None:
    functional = pytest.importorskip("spikingjelly.activation_based.functional")
    torch.manual_seed(1)
    sizes = {"num_frames": 4, "image_hw": (16, 24), "patch": 4, "channels": 16, "heads": 2}
    model = create_model("spikmamba_small", num_classes=5, in_channels=2, scan="frame", **sizes)
    settle(model, make_clips(8))
    other = to_spikingjelly(model)
    functional.set_step_mode(other, step_mode)
    nodes = [m for m in other.modules() if isinstance(m, library.LIFNode)]
    assert len(nodes) == sum(isinstance(m, LIF) for m in model.modules()) == 9
    with torch.no_grad():
        wanted = model(make_clips(3))
        torch.testing.assert_close(other(make_clips(3)), wanted, rtol=1e-6, atol=1e-6)
        # Another call and other batch-mates begin at rest again.
        alone = other(make_clips(3)[1:2])
        torch.testing.assert_close(alone, wanted[1:2], rtol=1e-5, atol=1e-5)
        _, state = other(make_clips(3)[:, :2], None, True)
        parts = other(make_clips(3)[:, 2:], state)
        torch.testing.assert_close(parts, wanted, rtol=1e-5, atol=1e-5)
        functional.set_step_mode(other, "m")
        back = from_spikingjelly(other)
        assert not any(isinstance(m, SpikingJellyNeuron) for m in back.modules())
        torch.testing.assert_close(back(make_clips(3)), wanted, rtol=0, atol=0)


def test_a_network_of_bare_nodes_starts_every_call_from_rest(library: Any) -> None:
    network = nn.Sequential(nn.Linear(6, 8), library.LIFNode(step_mode="m"), nn.Linear(8, 2))
    ours = from_spikingjelly(network)
    assert isinstance(ours[1], SpikesAlone)
    x = currents(7, 3, 6)
    first = network(x)
    assert torch.equal(ours(x), first)
    assert torch.equal(ours(x), first)
    assert not torch.equal(network(x), first)  # the node went on from the first clip
    assert isinstance(network[1], library.LIFNode)


def test_what_has_no_counterpart_is_refused(library: Any) -> None:
    surrogate = pytest.importorskip("spikingjelly.activation_based.surrogate")
    with pytest.raises(TypeError, match="node must be one of LIFNode, IFNode, ParametricLIFNode"):
        from_spikingjelly(library.EIFNode())
    with pytest.raises(TypeError, match="surrogate must be one of Sigmoid"):
        from_spikingjelly(library.IFNode(surrogate_function=surrogate.LeakyKReLU()))
    with pytest.raises(ValueError, match="surrogate Sigmoid must have spiking=True, got False"):
        from_spikingjelly(library.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False)))
    with pytest.raises(ValueError, match="step_mode of a node must be 'm', got 's'"):
        from_spikingjelly(nn.Sequential(library.IFNode()))
    with pytest.raises(TypeError, match="module must hold LIF, IF or PLIF, got Neuron"):
        to_spikingjelly(Neuron())
    assert isinstance(to_spikingjelly(Rectifier()), Rectifier)


def test_without_the_library_the_way_to_it_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "spikingjelly", None)
    monkeypatch.setitem(sys.modules, "spikingjelly.activation_based", None)
    with pytest.raises(ImportError, match=r"sh tools/setup_spikingjelly\.sh VENV"):
        to_spikingjelly(LIF())
