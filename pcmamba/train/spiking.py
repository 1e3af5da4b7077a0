"""An evaluation's figures on spikes, for models that have neurons."""

from __future__ import annotations

from collections.abc import Iterator

from pcmamba.data.labelled_set import LabelledSet
from pcmamba.models import Classifier
from pcmamba.models.spiking_report import SpikingReport, measure_spikes
from pcmamba.nn import Neuron
from pcmamba.train.datamodule import evaluation_loader
from pcmamba.viz.report_page import Fact


def spiking_report(
    model: Classifier, data_set: LabelledSet, batch_size: int = 64
) -> SpikingReport | None:
    """Measure rates, operations and energy over a whole set; None for a model without neurons."""
    if not any(isinstance(layer, Neuron) for layer in model.modules()):
        return None
    device = next(model.parameters()).device
    loader = evaluation_loader(data_set, model.preprocessing, batch_size, device)
    return measure_spikes(model, (batch.inputs for batch in loader))


def spiking_facts(spikes: SpikingReport) -> Iterator[Fact]:
    """Yield the figures that a report page shows."""
    sums = spikes.totals
    rates = [row.rate for row in spikes.neurons]
    yield Fact(
        "Firing rates",
        f"{min(rates):.1%} to {max(rates):.1%}",
        f"{len(rates)} layers of neurons, spikes a neuron and frame",
    )
    yield Fact("Synaptic operations", f"{sums['sops']:.3g}", "a clip")
    yield Fact(
        "Energy estimate",
        f"{sums['strict_pj'] / 1e6:.3g} uJ",
        f"a clip, strict; usual {sums['usual_pj'] / 1e6:.3g}, without spikes "
        f"{sums['dense_pj'] / 1e6:.3g}; 45 nm, no memory traffic",
    )
