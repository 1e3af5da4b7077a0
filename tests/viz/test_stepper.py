"""Keys step through samples, colourings and orders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pcmamba.ops.orders import ORDERS
from pcmamba.viz.sample import Sample
from pcmamba.viz.stepper import Stepper

PLAIN = Sample(np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32), title="plain")
PARTS = replace(PLAIN, title="parts", labels=np.arange(20) % 2, label_names=("a", "b"))


def test_samples_go_round():
    stepper = Stepper([PLAIN, PARTS])
    seen = []
    for key in "nnpP":
        assert stepper.press(key)
        seen.append(stepper.sample.title)
    assert seen == ["parts", "plain", "parts", "plain"]
    assert not Stepper([PLAIN]).press("n")


def test_colourings_are_those_of_the_sample():
    stepper = Stepper([PLAIN, PARTS])
    assert stepper.scene().mode == "height"
    assert stepper.press("c")
    assert stepper.scene().mode == "sequence"
    stepper.press("c")
    assert stepper.scene().mode == "height"
    stepper.press("n")
    stepper.mode = "part"
    stepper.press("n")
    assert stepper.scene().mode == "height"
    assert stepper.words()[1] == "1 of 2, height"


def test_orders_go_round_and_show_where_they_count():
    stepper = Stepper([PLAIN], mode="sequence")
    seen = {stepper.order}
    for _ in range(len(ORDERS) - 1):
        assert stepper.press("o")
        stepper.scene()
        seen.add(stepper.order)
    assert seen == set(ORDERS)
    assert stepper.press("l")
    assert stepper.scene().panels[0].line is None
    stepper.mode = "height"
    assert not stepper.press("o")


def test_pictures_are_saved_beside_those_that_are_there(tmp_path, capsys):
    (tmp_path / "view-1.png").write_text("kept")
    stepper = Stepper([PLAIN], folder=tmp_path)
    assert not stepper.press("s")
    assert stepper.written == [tmp_path / "view-2.png"]
    assert (tmp_path / "view-1.png").read_text() == "kept"
    with pytest.raises(KeyError):
        stepper.press("x")
