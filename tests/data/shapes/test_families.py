"""Every family: finite solids of changing proportions whose parts are all used."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.shapes import FAMILIES, Dice, Family, Mesh
from pcmamba.data.shapes.family import family


def _members(name: str, count: int = 60) -> list[Mesh]:
    return [FAMILIES[name].build(Dice(0, 9, key)) for key in range(count)]


def test_there_are_at_least_twelve_families():
    assert len(FAMILIES) >= 12
    assert all(isinstance(FAMILIES[name], Family) for name in FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_members_are_finite_solids_of_known_parts(name: str):
    for mesh in _members(name):
        assert np.isfinite(mesh.corners).all()
        assert mesh.corners.shape == (len(mesh.part), 3, 3)
        assert len(mesh.part) < 6000
        extent = np.ptp(mesh.corners.reshape(-1, 3), axis=0)
        assert (extent > 0.05).all()
        assert (extent < 6.0).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_part_occurs_and_the_first_always(name: str):
    parts = [set(mesh.part.tolist()) for mesh in _members(name)]
    assert set().union(*parts) == set(range(len(FAMILIES[name].parts)))
    assert all(0 in each for each in parts)


@pytest.mark.parametrize("name", FAMILIES)
def test_proportions_vary(name: str):
    extents = np.stack([np.ptp(m.corners.reshape(-1, 3), axis=0) for m in _members(name)])
    ratios = extents[:, 2] / extents[:, 0]
    assert ratios.max() / ratios.min() > 1.5


@pytest.mark.parametrize("name", FAMILIES)
def test_equal_keys_build_equal_members(name: str):
    build = FAMILIES[name].build
    first, second, other = build(Dice(1, 2)), build(Dice(1, 2)), build(Dice(1, 3))
    assert np.array_equal(first.corners, second.corners)
    assert not np.array_equal(first.corners, other.corners)


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="'chair' must be registered once"):
        family("chair", "seat")(lambda dice: FAMILIES["chair"].build(dice))
