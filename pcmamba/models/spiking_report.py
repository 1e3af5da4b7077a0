"""What a spiking model does on data: firing rates, synaptic operations, an energy estimate."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pcmamba.nn.energy import MAC_PJ, LayerWork, counted_work
from pcmamba.nn.firing import Firing, watched_neurons

NOTE = (
    "Estimates for hypothetical hardware at 45 nm without memory traffic; a GPU saves nothing. "
    "usual counts every layer behind neurons as additions, strict only those fed by 0 and 1. "
    "One multiplication with its addition is one operation."
)


@dataclass(frozen=True)
class NeuronRow:
    """Rates of a layer of neurons: all, by frame of a clip, by channel; what is unhealthy."""

    layer: str
    rate: float
    frame_rates: tuple[float, ...]
    channel_rates: tuple[float, ...]
    silent_share: float
    warning: str


@dataclass(frozen=True)
class WorkRow:
    """Work of a layer for one clip: see `pcmamba.nn.energy`."""

    layer: str
    kind: str
    rate: float
    macs: float
    sops: float
    usual_pj: float
    strict_pj: float


@dataclass(frozen=True)
class SpikingReport:
    """Firing rates and work of a model, averaged over clips.

    Attributes:
        clips: How many.
        neurons: A row for each layer of neurons.
        work: A row for each layer with products.
    """

    clips: int
    neurons: tuple[NeuronRow, ...]
    work: tuple[WorkRow, ...]

    @property
    def totals(self) -> dict[str, float]:
        """Sums over the layers, and the energy of the same network without spikes (dense_pj)."""
        names = ("macs", "sops", "usual_pj", "strict_pj")
        sums = {name: sum(getattr(row, name) for row in self.work) for name in names}
        return {**sums, "dense_pj": MAC_PJ * sums["macs"]}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is unhealthy, a line for each layer."""
        return tuple(f"{row.layer} {row.warning}" for row in self.neurons if row.warning)

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {**asdict(self), "totals": self.totals, "warnings": self.warnings, "note": NOTE}

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write spikes.json, neurons.csv and energy.csv; return their paths."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        listed = ("layer", "rate", "silent_share", "warning")
        neurons = [{name: getattr(row, name) for name in listed} for row in self.neurons]
        contents = {
            "spikes.json": json.dumps(self.as_dict(), indent=2) + "\n",
            "neurons.csv": _csv(neurons),
            "energy.csv": _csv([asdict(row) for row in self.work]),
        }
        for name, text in contents.items():
            _write(place / name, text)
        return [place / name for name in contents]

    def text(self) -> str:
        """Return the tables for a terminal."""
        lines = [f"{'neurons':40} {'rate':>7} {'silent':>7}"]
        for neuron in self.neurons:
            mark = f"  {neuron.warning}" if neuron.warning else ""
            lines.append(f"{neuron.layer:40} {neuron.rate:7.4f} {neuron.silent_share:7.0%}{mark}")
        lines += ["", f"{'layer, one clip':40} {'inputs':8} {'rate':>7} {'MAC':>9} {'SOP':>9}"]
        lines[-1] += f" {'usual uJ':>9} {'strict uJ':>9}"
        for row in self.work:
            numbers = f"{row.rate:7.4f} {row.macs:9.2e} {row.sops:9.2e}"
            energy = f"{row.usual_pj / 1e6:9.3f} {row.strict_pj / 1e6:9.3f}"
            lines.append(f"{row.layer:40} {row.kind:8} {numbers} {energy}")
        sums = self.totals
        lines.append(
            f"{'all':40} {'':8} {'':7} {sums['macs']:9.2e} {sums['sops']:9.2e} "
            f"{sums['usual_pj'] / 1e6:9.3f} {sums['strict_pj'] / 1e6:9.3f}"
        )
        lines.append(f"without spikes, all products: {sums['dense_pj'] / 1e6:.3f} uJ")
        return "\n".join([*lines, NOTE])


def measure_spikes(model: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> SpikingReport:
    """Run a model over batches in evaluation mode and report on its neurons.

    Args:
        model: Any network with layers of neurons of `pcmamba.nn`; left in the mode it was in.
        batches: What the model is called with, the clips along the first axis.

    Raises:
        ValueError: The model has no neurons, or there is no clip.
    """
    clips, training = 0, model.training
    try:
        model.eval()
        with watched_neurons(model) as firing, counted_work(model) as work, torch.no_grad():
            for inputs in batches:
                model(*inputs)
                clips += len(inputs[0])
    finally:
        model.train(training)
    if not clips:
        raise ValueError("batches must hold at least one clip, got none")
    neurons = tuple(_neuron_row(name, found) for name, found in firing.items())
    return SpikingReport(clips, neurons, tuple(_work_row(n, w, clips) for n, w in work.items()))


def _neuron_row(name: str, found: Firing) -> NeuronRow:
    return NeuronRow(
        name.removesuffix(".neuron"),
        found.rate,
        found.frame_rates,
        found.channel_rates,
        found.silent_share,
        found.warning,
    )


def _work_row(name: str, work: LayerWork, clips: int) -> WorkRow:
    each = (value / clips for value in (work.macs, work.sops, work.usual_pj, work.strict_pj))
    return WorkRow(name, work.kind, work.rate, *each)


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
