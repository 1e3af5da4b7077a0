"""Spikes in evaluations: whole sets, and nothing for models without neurons."""

from __future__ import annotations

import pytest
import torch

from pcmamba.data.datasets import DATASETS
from pcmamba.models import create_model
from pcmamba.train.evaluate import evaluate
from pcmamba.train.html_report import save_evaluation_report
from pcmamba.train.spiking import spiking_report

TINY = {"num_frames": 3, "image_hw": (16, 16), "channels": 8, "heads": 2, "state_size": 4}


@pytest.fixture(scope="module")
def recordings():
    return DATASETS["gestures"](train_size=10, test_size=10, side=16).load("test")


def make(neuron: str, recordings):
    torch.manual_seed(0)
    classes = len(recordings.class_names)
    model = create_model("spikmamba_small", classes, in_channels=2, neuron=neuron, **TINY)
    model.class_names = recordings.class_names
    return model.eval()


def test_a_network_of_rectifiers_has_no_spikes(recordings) -> None:
    assert spiking_report(make("relu", recordings), recordings) is None


def test_every_clip_counts_and_the_page_shows_it(recordings, tmp_path) -> None:
    model = make("lif", recordings)
    spikes = spiking_report(model, recordings, batch_size=4)
    assert spikes.clips == len(recordings)
    alone = spiking_report(model, recordings, batch_size=10)
    assert spikes.totals == pytest.approx(alone.totals)
    report = evaluate(model, recordings)
    paths = save_evaluation_report(tmp_path, report, model, recordings, spikes=spikes)
    assert {"spikes.json", "neurons.csv", "energy.csv"} <= {path.name for path in paths}
    page = paths[-1].read_text(encoding="utf-8")
    assert "Energy estimate" in page and "Firing rates" in page
