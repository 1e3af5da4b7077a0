"""Shape letters bind across arguments."""

from __future__ import annotations

import pytest
import torch

from pcmamba.ops._check import check_offsets, check_shapes


def test_letters_take_sizes() -> None:
    sizes = check_shapes(u=(torch.zeros(2, 5, 3), "B L D"), D=(None, "D"), a=(torch.zeros(3), "3"))
    assert sizes == {"B": 2, "L": 5, "D": 3}


def test_a_second_size_for_a_letter_names_both_arguments() -> None:
    with pytest.raises(ValueError, match=r"A must be \(D, S\) with D = 3 from u, got \(4, 2\)"):
        check_shapes(u=(torch.zeros(2, 5, 3), "B L D"), A=(torch.zeros(4, 2), "D S"))


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 4)])
def test_axes_and_fixed_sizes_are_checked(shape) -> None:
    with pytest.raises(ValueError, match=r"xyz must be \(B, N, 3\), got"):
        check_shapes(xyz=(torch.zeros(shape), "B N 3"))


@pytest.mark.parametrize("offsets", [[1, 4], [0, 3], [0, 5, 4], []])
def test_offsets_rise_from_zero_to_the_total(offsets) -> None:
    with pytest.raises(ValueError, match="offsets must"):
        check_offsets(torch.tensor(offsets, dtype=torch.int64), 4)
    check_offsets(torch.tensor([0, 0, 4]), 4)
