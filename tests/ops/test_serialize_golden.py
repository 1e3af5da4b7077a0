"""Permutations of the released code, with every sort made stable: exact equality."""

import json

import numpy as np
import pytest
import torch

from pcmamba.ops._cells import Clouds, make_grid
from pcmamba.ops.serialize import serialize
from pcmamba.testing import shared_folder

FOLDER = shared_folder()
PATH = FOLDER / "golden" / "pcm_serialization.json" if FOLDER else None
META = json.loads(PATH.read_text()) if PATH and PATH.is_file() else {"cases": {}, "orders": []}
CASES = META["cases"]
ALONE = [case for case in CASES if "_alone" in case or CASES[case]["batch"] == 1]
NAMES = META["orders"]

needs_golden = pytest.mark.skipif(not CASES, reason="no reference outputs beside the repository")
pytestmark = needs_golden


@pytest.fixture(scope="module")
def arrays():
    with np.load(PATH.with_suffix(".npz")) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def ours(name):
    """Return our name of a released order: xyz ... zyx are slabs."""
    return f"slab-{name}" if len(name) == 3 else name


def perms(arrays, case, name, **options):
    grid_size = CASES[case]["grid_size"]
    return serialize(arrays[f"{case}/points"], ours(name), grid_size=grid_size, **options).perm


@pytest.mark.parametrize("case", CASES)
def test_cells(case, arrays):
    points = arrays[f"{case}/points"]
    grid, extent = make_grid(points, Clouds.of(points, None), CASES[case]["grid_size"], None)
    assert torch.equal(grid, arrays[f"{case}/cells"].long())
    assert extent.amax((0, 1)).tolist() == CASES[case]["cell_maxima_of_batch"]


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize("case", CASES)
def test_released_permutations(case, impl, arrays):
    for name in set(NAMES) - set(CASES[case].get("mixes_clouds", ())):
        found = perms(arrays, case, name, parity="batch", impl=impl)
        assert torch.equal(found, arrays[f"{case}/order/{name}"].long()), name


@pytest.mark.parametrize("case", ALONE)
def test_a_cloud_alone_is_its_own_scope(case, arrays):
    for name in NAMES:
        found = perms(arrays, case, name)
        assert torch.equal(found, arrays[f"{case}/order/{name}"].long()), name


def test_the_scope_of_the_cloud_gives_in_the_batch_what_it_gives_alone(arrays):
    for name in NAMES:
        together = perms(arrays, "surface_b3", name)
        alone = [arrays[f"surface_b3_alone{i}/order/{name}"][0].long() for i in range(3)]
        assert torch.equal(together, torch.stack(alone)), name


def test_the_scope_of_the_batch_changes_what_it_changed_in_the_released_code(arrays):
    for name, same in META["same_alone_and_in_batch (surface_b3, per cloud)"].items():
        rows = zip(
            perms(arrays, "surface_b3", name, parity="batch"),
            perms(arrays, "surface_b3", name),
            strict=True,
        )
        assert [torch.equal(one, two) for one, two in rows] == same, name


def test_clouds_of_a_flat_batch_are_not_mixed(arrays):
    clouds, points = 2, CASES["planar_b2"]["points"]
    mixed = CASES["planar_b2"]["mixes_clouds"]
    assert mixed == ["xyz", "xzy", "yxz", "yzx"]
    for name in mixed:
        found = perms(arrays, "planar_b2", name, parity="batch")
        assert torch.equal(found.sort().values, torch.arange(points).expand(clouds, -1))
        flat = found + points * torch.arange(clouds)[:, None]
        assert not torch.equal(flat, arrays[f"planar_b2/order/{name}"].long().view(clouds, -1))


def test_orders_one_after_another(arrays):
    points = arrays["surface_b3/points"]
    index = torch.arange(points.shape[1]).expand(points.shape[0], -1)
    for name in ("xyz", "xzy", "yxz", "yzx", "zxy", "zyx", "hilbert", "z", "z-trans"):
        current = points.gather(1, index[..., None].expand_as(points))
        step = serialize(current, ours(name), grid_size=0.02, parity="batch")
        index = index.gather(1, step.perm)
        assert torch.equal(index, arrays[f"sequence/{name}"].long()), name
