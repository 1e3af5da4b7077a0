from __future__ import annotations

import pytest

from pcmamba.data.datasets import DATASETS
from pcmamba.train.loading_speed import loading_speed


@pytest.mark.parametrize("name", ["folder", "nmnist", "dvs128_gesture"])
def test_clouds_and_recordings_are_timed(name, tmp_path):
    made = DATASETS[name].make_fake(str(tmp_path)).load("train")
    assert loading_speed(made, num_points=8, batch_size=4, device="cpu", seconds=0.05) > 1
