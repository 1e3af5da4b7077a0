"""Bilinear resize against torch's own and by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pcmamba.ops.resize_bilinear import resize_bilinear


@pytest.mark.parametrize("size", [(4, 5), (7, 3), (13, 29), (1, 1), (6, 9)])
def test_it_is_interpolate(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, 6, 9, generator=torch.Generator().manual_seed(0))
    wanted = F.interpolate(images.double(), size=size, mode="bilinear")
    found = resize_bilinear(images, size)
    assert found.dtype == torch.float32
    assert (found - wanted).abs().max() < 5e-7
    assert (resize_bilinear(images.double(), size) - wanted).abs().max() < 1e-6  # float32 shares


def test_by_hand() -> None:
    image = torch.tensor([[0.0, 4.0, 8.0, 12.0]])
    assert resize_bilinear(image, (1, 2)).tolist() == [[2.0, 10.0]]
    assert resize_bilinear(image[:, :2], (2, 4)).tolist() == [[0.0, 1.0, 3.0, 4.0]] * 2
    assert resize_bilinear(image, (1, 4)) is image


def test_errors() -> None:
    with pytest.raises(TypeError, match="images must be floating point, got"):
        resize_bilinear(torch.zeros(2, 2).long(), (1, 1))
    with pytest.raises(ValueError, match="images and size_hw must have two positive sides"):
        resize_bilinear(torch.zeros(2, 2), (0, 1))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_bits() -> None:
    images = torch.rand(5, 61, 83, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        resize_bilinear(images.cuda(), (32, 40)).cpu(), resize_bilinear(images, (32, 40))
    )
