"""Whole steps of a model: what a user waits for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from bench_problem import DTYPES, Case, MissingOp, Whole
from torch import Tensor, nn

from pcmamba.models import MODELS, create_model
from pcmamba.train.optim import parameter_groups, smoothed_cross_entropy

CLASSES = 40


def build(case: Case) -> Whole:
    """Make a training step or a forward pass of a registered model.

    Raises:
        MissingOp: This version has no such model, or no CUDA graphs.
    """
    if case.op not in MODELS:
        raise MissingOp(f"no model {case.op}")
    torch.manual_seed(3)
    model = create_model(case.op, num_classes=CLASSES).to(case.device)
    batch, points = case.sizes
    xyz = torch.rand(batch, points, 3).sub(0.5).to(case.device)
    labels = torch.randint(CLASSES, (batch,)).to(case.device)
    if case.passes.startswith("train"):
        return _training(case, model.train(), xyz, labels)
    return _prediction(case, model.eval(), xyz)


def autocast(case: Case) -> torch.autocast:
    """The mixed precision of the case."""
    return torch.autocast(case.device, DTYPES[case.dtype], enabled=case.dtype != "fp32")


def _training(case: Case, model: nn.Module, xyz: Tensor, labels: Tensor) -> Whole:
    options: dict[str, Any] = {}
    if case.device == "cuda":
        rate = torch.full((), 1e-4, device="cuda")
        options = {"lr": rate, "fused": True, "capturable": True}
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.05), **options)

    def step(points: Tensor, labels: Tensor, features: Tensor | None = None) -> Any:
        optimizer.zero_grad(set_to_none=True)
        with autocast(case):
            logits = model(points, features).float()
        loss = smoothed_cross_entropy(logits, labels, 0.2)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach(), norm, (logits.detach().argmax(1) == labels).sum()

    def check() -> str | None:
        losses = _same_twice(case, model, step, xyz, labels)
        if isinstance(losses, str):
            return losses
        return None if losses[-1] < losses[0] else f"the loss does not fall: {losses}"

    run = _graphed_step(step, xyz, labels) if "graph" in case.passes else step
    return Whole(lambda _: run(xyz, labels), check)


def _same_twice(
    case: Case, model: nn.Module, step: Callable[..., Any], xyz: Tensor, labels: Tensor
) -> list[float] | str:
    """Take eight steps from the same weights twice; return the losses."""
    found, start = [], copy.deepcopy(model.state_dict())
    for _ in range(2):
        model.load_state_dict(start)
        optimizer = torch.optim.AdamW(parameter_groups(model, 0.05), lr=1e-3)
        losses = []
        for i in range(8):
            torch.manual_seed(i)
            optimizer.zero_grad(set_to_none=True)
            with autocast(case):
                logits = model(xyz).float()
            loss = smoothed_cross_entropy(logits, labels, 0.2)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        found.append([float(loss) for loss in losses])
    model.load_state_dict(start)
    return found[0] if found[0] == found[1] else f"two runs differ: {found[0]} and {found[1]}"


def _graphed_step(
    step: Callable[..., Any], xyz: Tensor, labels: Tensor
) -> Callable[[Tensor, Tensor], Any]:
    try:
        from pcmamba.train.graph import GraphedStep
    except ImportError:
        raise MissingOp("no CUDA graphs of a training step") from None
    from pcmamba.data.batch import CloudBatch

    batch = CloudBatch(xyz, labels, torch.arange(len(labels)))
    graphed = GraphedStep(step, required=True)
    return lambda *_: graphed(batch)


def _prediction(case: Case, model: nn.Module, xyz: Tensor) -> Whole:
    forward: Callable[[Tensor], Tensor] = model
    if "graph" in case.passes:
        try:
            from pcmamba.train.graph import GraphedForward
        except ImportError:
            raise MissingOp("no CUDA graphs of a forward pass") from None
        forward = GraphedForward(model)

    def run(_: int) -> Tensor:
        with torch.no_grad(), autocast(case):
            return forward(xyz)

    def check() -> str | None:
        found = [run(i).double() for i in range(5)]
        if not all(torch.equal(found[0], other) for other in found):
            return "two runs differ"
        with torch.no_grad():
            exact = copy.deepcopy(model).double()(xyz.double())
        error = float((found[0] - exact).norm() / exact.norm())
        allowed = {"fp32": 1e-3}.get(case.dtype, 5e-2)
        return None if error <= allowed else f"logits off by {error:.2e}, allowed {allowed:.0e}"

    return Whole(run, check)
