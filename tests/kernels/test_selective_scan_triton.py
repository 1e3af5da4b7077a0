"""The Triton scan and convolution against the reference: values and every gradient."""

from __future__ import annotations

import pytest
import torch

from pcmamba.kernels import _scan_pack_triton
from pcmamba.ops import causal_conv1d, selective_scan
from pcmamba.ops._impl import interpreting

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and not interpreting(), reason="needs a GPU or Triton's interpreter"
)
OFFSETS = torch.tensor([0, 9, 9, 21], device=DEVICE)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator).to(DEVICE)


def weighted_sum(*tensors: torch.Tensor) -> torch.Tensor:
    return sum(
        (t * torch.arange(t.numel(), device=DEVICE).view(t.shape).sin()).sum() for t in tensors
    )


def scan_and_gradients(impl, dtype, *, ragged, reverse, gated, wide=20, states=3, offsets=OFFSETS):
    lead, sequences = ((int(offsets[-1]),), 3) if ragged else ((2, 11), 2)
    rows = {
        name: drawn(*lead, size, seed=i)
        for i, (name, size) in enumerate(
            [("u", wide), ("delta", wide), ("B", states), ("C", states), ("z", wide)]
        )
    }
    if not gated:
        del rows["z"]
    inputs = {
        **rows,
        "A": -drawn(wide, states).exp(),
        "D": drawn(wide, seed=7),
        "delta_bias": drawn(wide, seed=8),
        "initial_state": drawn(sequences, wide, states),
    }
    inputs = {k: v.to(dtype).requires_grad_() for k, v in inputs.items()}
    y, last = selective_scan(
        **inputs,
        delta_softplus=True,
        return_last_state=True,
        reverse=reverse,
        offsets=offsets if ragged else None,
        impl=impl,
    )
    gradients = torch.autograd.grad(weighted_sum(y, last), list(inputs.values()))
    return dict(zip(["y", "last", *inputs], [y, last, *gradients], strict=True))


@pytest.mark.parametrize(
    ("ragged", "reverse", "gated"),
    [(False, False, True), (True, True, False), (False, True, False), (True, False, True)],
)
def test_scan_values_and_gradients(ragged, reverse, gated) -> None:
    options = {"ragged": ragged, "reverse": reverse, "gated": gated}
    wanted = scan_and_gradients("reference", torch.float64, **options)
    got = scan_and_gradients("triton", torch.float32, **options)
    for name, value in wanted.items():
        error = (got[name].double() - value).abs().max()
        assert error <= 3e-6 * (1 + value.abs().max()), name


def test_segments_scanned_at_the_same_time(monkeypatch) -> None:
    monkeypatch.setattr(_scan_pack_triton, "MIN_TILES", 1)
    assert _scan_pack_triton.tiles_per_segment(100, 2, 1) == 1
    options = {"reverse": True, "gated": True, "wide": 5, "ragged": True}
    long = torch.tensor([0, 39, 39, 42], device=DEVICE)
    wanted = scan_and_gradients("reference", torch.float64, offsets=long, **options)
    got = scan_and_gradients("triton", torch.float32, offsets=long, **options)
    for name, value in wanted.items():
        error = (got[name].double() - value).abs().max()
        assert error <= 3e-6 * (1 + value.abs().max()), name


def test_segments_follow_from_the_shapes() -> None:
    tiles = _scan_pack_triton.tiles_per_segment
    assert tiles(128 * 128, 128, 24) == 1024, "sequences enough are never cut"
    for tokens, blocks in ((65536, 16), (1 << 20, 16), (1 << 20, 1)):
        segments = tokens / 16 / tiles(tokens, 1, blocks) * blocks
        assert segments >= min(2048, tokens / 64)


def test_scan_gives_the_same_bits_twice() -> None:
    options = {"ragged": True, "reverse": False, "gated": False}
    first, second = (scan_and_gradients("triton", torch.float32, **options) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("activation", ["silu", None])
def test_convolution_values_and_gradients(ragged, reverse, activation) -> None:
    def run(impl, dtype):
        lead = (21,) if ragged else (2, 11)
        inputs = [t.to(dtype).requires_grad_() for t in (drawn(*lead, 70), drawn(70, 4), drawn(70))]
        y = causal_conv1d(
            *inputs,
            activation=activation,
            reverse=reverse,
            offsets=OFFSETS if ragged else None,
            impl=impl,
        )
        return [y, *torch.autograd.grad(weighted_sum(y), inputs)]

    for got, value in zip(
        run("triton", torch.float32), run("reference", torch.float64), strict=True
    ):
        assert (got.double() - value).abs().max() <= 3e-6 * (1 + value.abs().max())


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scan_at_a_models_size(dtype) -> None:
    options = {"ragged": False, "reverse": True, "gated": True, "wide": 192, "states": 16}
    wanted = scan_and_gradients("reference", torch.float64, **options)
    got = scan_and_gradients("triton", dtype, **options)
    bound = 1e-5 if dtype == torch.float32 else 4e-2
    for name, value in wanted.items():
        assert (got[name].double() - value).abs().max() <= bound * (1 + value.abs().max()), name
