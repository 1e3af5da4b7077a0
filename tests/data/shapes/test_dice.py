"""Random choices for solids: known values, ranges, and sines without the library's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pcmamba.data.shapes.dice import Dice, cos_sin


def test_equal_keys_give_equal_numbers_and_others_do_not():
    first = Dice(1, 0, 5).uniforms(4)
    assert (first == Dice(1, 0, 5).uniforms(4)).all()
    for key in [(0, 0, 5), (1, 1, 5), (1, 0, 6)]:
        assert (first != Dice(*key).uniforms(4)).all()


def test_the_numbers_are_those_of_pcg64():
    # Computed once; another value means that clouds differ from those of other machines.
    drawn = [round(float(x) * 2**53) for x in Dice(0, 0, 0).uniforms(3)]
    assert drawn == [5737240835340368, 2430022687152954, 369056694262205]


def test_choices_fill_their_ranges():
    dice = Dice(3)
    assert {dice.between(2, 4) for _ in range(200)} == {2, 3, 4}
    assert {dice.choice("abc") for _ in range(200)} == set("abc")
    values = [dice.uniform(-1.0, 3.0) for _ in range(500)]
    assert -1.0 <= min(values) < -0.95 < 2.95 < max(values) < 3.0
    assert 60 < sum(dice.chance(0.2) for _ in range(500)) < 140


def test_bells_have_mean_zero_and_variance_one():
    bells = Dice(4).bells(20000)
    assert abs(bells.mean()) < 0.03
    assert abs(bells.var() - 1.0) < 0.03
    assert np.abs(bells).max() <= 2.0 * math.sqrt(3.0)


def test_directions_are_unit_vectors_spread_over_the_sphere():
    dice = Dice(5)
    directions = np.stack([dice.direction() for _ in range(4000)])
    assert np.allclose((directions**2).sum(axis=1), 1.0)
    assert np.abs(directions.mean(axis=0)).max() < 0.04
    assert np.allclose(directions.T @ directions / 4000, np.eye(3) / 3, atol=0.03)


def test_cosine_and_sine_agree_with_the_library():
    turns = np.linspace(-3.0, 3.0, 1201)
    cos, sin = cos_sin(turns)
    assert np.abs(cos - np.cos(2 * np.pi * turns)).max() < 5e-15
    assert np.abs(sin - np.sin(2 * np.pi * turns)).max() < 5e-15


@pytest.mark.parametrize(
    ("turns", "cos", "sin"), [(0, 1, 0), (0.25, 0, 1), (0.5, -1, 0), (0.75, 0, -1), (1, 1, 0)]
)
def test_quarter_turns_are_exact(turns: float, cos: int, sin: int):
    assert cos_sin(turns) == (cos, sin)
