"""Steps and forward passes replayed as CUDA graphs have the bits of those launched one by one."""

from __future__ import annotations

import json

import pytest
import torch

from pcmamba.models import create_model
from pcmamba.train.graph import WARM_UP, GraphedForward, GraphError
from pcmamba.train.metrics import read_metrics
from pcmamba.train.module import ClassificationModule
from pcmamba.train.run import train

GPU = ("--trainer.accelerator=gpu", "--trainer.max_epochs=3")
STEPS = 4


class Killed(BaseException):
    pass


def weights(folder):
    return (folder / "model" / "model.safetensors").read_bytes()


def figures(folder):
    varying = ("seconds", "samples_per_second")
    return [
        {k: v for k, v in row.items() if k not in varying}
        for row in read_metrics(folder / "metrics.csv")
    ]


def test_always_needs_a_gpu(tiny_recipe, tmp_path):
    with pytest.raises(ValueError, match=r"cuda_graph must be auto or never on a CPU, got always"):
        train(tiny_recipe(tmp_path / "run", "--trainer.cuda_graph=always"))


def test_on_a_cpu_the_model_itself_answers(monkeypatch):
    model = create_model("pcm_nano", num_classes=3).eval()
    xyz = torch.randn(2, 64, 3)
    with torch.no_grad():
        wanted = model(xyz)
    assert torch.equal(GraphedForward(model)(xyz), wanted)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
def test_a_graphed_run_has_the_bits_of_an_eager_one(tiny_recipe, tmp_path, precision, capsys):
    for mode in ("always", "never"):
        options = (f"--trainer.cuda_graph={mode}", f"--trainer.precision={precision}")
        train(tiny_recipe(tmp_path / mode, *GPU, *options))
    assert "cuda graph: none" not in capsys.readouterr().out
    assert figures(tmp_path / "always") == figures(tmp_path / "never")
    assert weights(tmp_path / "always") == weights(tmp_path / "never")


@pytest.mark.gpu
@pytest.mark.parametrize("call", [WARM_UP - 1, WARM_UP + 1, 2 * STEPS + 1])
def test_a_graphed_run_resumes_with_the_same_bits(tiny_recipe, tmp_path, monkeypatch, call):
    train(tiny_recipe(tmp_path / "whole", *GPU))
    folder, calls, real = tmp_path / "broken", [], ClassificationModule.training_step

    def dies(self, *args):
        calls.append(args)
        if len(calls) == call + 1:
            raise Killed
        return real(self, *args)

    recipe = tiny_recipe(folder, *GPU)
    with monkeypatch.context() as patch:
        patch.setattr(ClassificationModule, "training_step", dies)
        with pytest.raises(Killed):
            train(recipe)
    train(recipe, resume=folder)
    assert figures(folder) == figures(tmp_path / "whole")
    assert weights(folder) == weights(tmp_path / "whole")


@pytest.mark.gpu
def test_a_model_that_waits_is_trained_without_a_graph(tiny_recipe, tmp_path, monkeypatch, capsys):
    from pcmamba.models.pcm import PointCloudMamba

    real = PointCloudMamba.forward_head

    def waits(self, x):
        assert float(x.detach().sum()) < float("inf")
        return real(self, x)

    monkeypatch.setattr(PointCloudMamba, "forward_head", waits)
    for mode in ("auto", "never"):
        train(tiny_recipe(tmp_path / mode, *GPU, f"--trainer.cuda_graph={mode}"))
    assert capsys.readouterr().out.count("cuda graph: none, steps are launched") == 1
    assert weights(tmp_path / "auto") == weights(tmp_path / "never")
    assert json.loads((tmp_path / "auto" / "result.json").read_text())["steps"] == 3 * STEPS
    with pytest.raises(GraphError, match=r"cuda_graph must be auto or never for this model"):
        train(tiny_recipe(tmp_path / "always", *GPU, "--trainer.cuda_graph=always"))


@pytest.mark.gpu
def test_prediction_by_graphs():
    torch.manual_seed(0)
    model = create_model("pcm_nano", num_classes=3).cuda().eval()
    forward = GraphedForward(model)
    with torch.no_grad():
        for points in (64, 100):
            for _ in range(WARM_UP + 3):
                xyz = torch.randn(2, points, 3, device="cuda")
                assert torch.equal(forward(xyz), model(xyz))
        first = forward(xyz)
        kept = first.clone()
        forward(torch.randn_like(xyz))
        assert torch.equal(first, kept), "a result belongs to the caller"
        model.head[-1].bias.add_(1.0)
        assert torch.equal(forward(xyz), model(xyz)), "weights may change in place"
        model.head[-1].bias = torch.nn.Parameter(torch.full((3,), 7.0, device="cuda"))
        assert torch.equal(forward(xyz), model(xyz)), "weights may move"
