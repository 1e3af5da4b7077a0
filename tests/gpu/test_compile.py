"""`torch.compile(fullgraph=True)` on a GPU: every op, the mixer, a whole model."""

from __future__ import annotations

import pytest
import torch
from bench_check import leaves
from bench_problem import Case, MissingOp
from bench_small import make, small_cases

from pcmamba.models import create_model
from pcmamba.nn import BidirectionalMamba

pytestmark = pytest.mark.gpu
ONCE = {case.op: case for case in reversed(small_cases("cuda")) if case.dtype == "fp32"}


@pytest.mark.parametrize("case", [c for op, c in ONCE.items() if op != "mixer"], ids=lambda c: c.op)
def test_each_op(case: Case) -> None:
    try:
        problem = make(case)
    except MissingOp as missing:
        pytest.skip(str(missing))
    torch._dynamo.reset()
    compiled = torch.compile(lambda values: problem.call(values, "auto"), fullgraph=True)
    both = []
    for function in (compiled, lambda values: problem.call(values, "auto")):
        values = leaves(problem, problem.inputs, case.passes == "fwd+bwd")
        results = list(function(values))
        outputs = [y for y in results if y.requires_grad]
        wanted = [values[n] for n in problem.differentiate if values[n] is not None]
        if outputs:
            ones = [torch.ones_like(y) for y in outputs]
            results += torch.autograd.grad(outputs, wanted, ones)
        both.append([y.detach() for y in results])
    for mine, plain in zip(*both, strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("half", [False, True])
def test_the_mixer(half: bool) -> None:
    torch.manual_seed(1)
    mixer = BidirectionalMamba(48).cuda()
    both = []
    for function in (torch.compile(mixer, fullgraph=True), mixer):
        x = torch.linspace(-1, 1, 2 * 70 * 48, device="cuda").view(2, 70, 48).requires_grad_()
        with torch.autocast("cuda", torch.bfloat16, enabled=half):
            y = function(x)
        y.float().square().sum().backward()
        both.append((y.detach().float(), x.grad))
    close = {"rtol": 3e-2, "atol": 3e-2} if half else {"rtol": 1e-4, "atol": 1e-4}
    for mine, plain in zip(*both, strict=True):
        torch.testing.assert_close(mine, plain, **close)


def test_pcm_tiny() -> None:
    torch.manual_seed(1)
    model = create_model("pcm_tiny", num_classes=10).cuda().train()
    xyz = torch.rand(2, 512, 3, device="cuda")
    compiled = torch.compile(model, fullgraph=True)
    compiled(xyz).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(compiled(xyz), model(xyz), rtol=1e-3, atol=1e-3)
