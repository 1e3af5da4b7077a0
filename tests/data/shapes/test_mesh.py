"""Solids: known areas and volumes, outward faces, rigid motions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pcmamba.data.shapes.mesh import Mesh, bar, box, ellipsoid, frustum, revolve, tube


def _area(mesh: Mesh) -> float:
    a, b, c = np.moveaxis(mesh.corners, 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def _volume(mesh: Mesh) -> float:
    """Volume enclosed by faces that look outwards, negative if they look inwards."""
    a, b, c = np.moveaxis(mesh.corners, 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


def _ring() -> Mesh:
    turns = 2 * np.pi * (np.arange(49) % 48) / 48
    path = np.stack([np.cos(turns), np.sin(turns), 0 * turns], axis=1)
    return tube(path, 0.2, flat=(0, 0, 1), segments=24)


@pytest.mark.parametrize(
    ("mesh", "area", "volume", "tolerance"),
    [
        pytest.param(box(1, 2, 3), 22.0, 6.0, 1e-12, id="box"),
        pytest.param(frustum(1, 1, 2, segments=96), 6 * math.pi, 2 * math.pi, 2e-3, id="cylinder"),
        pytest.param(frustum(3, 0, 4, segments=96), 24 * math.pi, 12 * math.pi, 2e-3, id="cone"),
        pytest.param(ellipsoid(1, 1, 1), 4 * math.pi, 4 / 3 * math.pi, 0.04, id="sphere"),
        pytest.param(ellipsoid(1, 2, 3), None, 8 * math.pi, 0.04, id="ellipsoid"),
        pytest.param(_ring(), 0.8 * math.pi**2, 0.08 * math.pi**2, 0.02, id="torus"),
    ],
)
def test_closed_solids_have_the_area_and_volume_of_the_formula(mesh, area, volume, tolerance):
    assert area is None or abs(_area(mesh) / area - 1) < tolerance
    assert abs(_volume(mesh) / volume - 1) < tolerance
    assert mesh.part.shape == (len(mesh.corners),)


def test_a_bar_is_as_thick_as_asked_and_faces_outwards():
    mesh = bar((0, 0, 0), (1, 2, 2), 0.1, segments=32)
    assert abs(_area(mesh) / (2 * math.pi * 0.1 * 3) - 1) < 0.01
    a, b, c = np.moveaxis(mesh.corners, 1, 0)
    axis = np.array([1, 2, 2]) / 3
    centre = mesh.corners.mean(axis=1)
    outward = centre - (centre @ axis)[:, None] * axis
    assert ((np.cross(b - a, c - a) * outward).sum(axis=1) > 0).all()


def test_a_profile_that_runs_down_faces_the_axis():
    mesh = revolve([(1.0, 1.0), (1.0, 0.0)])
    a, b, c = np.moveaxis(mesh.corners, 1, 0)
    assert ((np.cross(b - a, c - a) * mesh.corners.mean(axis=1)).sum(axis=1) < 0).all()


def test_motions_keep_area_and_orientation():
    mesh = box(1, 2, 3)
    for moved in (mesh.turned(0.13), mesh.tipped(0.21), mesh.moved(4, 5, 6)):
        assert abs(_area(moved) - 22) < 1e-12
        assert abs(_volume(moved) - 6) < 1e-11
    assert abs(_volume(mesh.scaled(2, 3, 4)) - 144) < 1e-10


def test_quarter_turns_by_hand():
    corner = Mesh(np.array([[[1.0, 2, 3], [0, 0, 0], [0, 0, 0]]]), np.zeros(1, dtype=np.int64))
    assert corner.turned(0.25).corners[0, 0].tolist() == [-2, 1, 3]
    assert corner.tipped(0.25).corners[0, 0].tolist() == [3, 2, -1]


def test_sums_keep_the_parts():
    mesh = box(1, 1, 1) + box(1, 1, 1).labelled(2)
    assert mesh.part.tolist() == [0] * 12 + [2] * 12
    assert len(mesh.corners) == 24
