"""Every op on a GPU, forward and backward: its error against float64, the same bits twice."""

from __future__ import annotations

import pytest
import torch
from bench_check import Oracle
from bench_problem import DTYPES, Case, MissingOp
from bench_small import make, small_cases

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("impl", ["auto", "triton", "nvrtc"])
@pytest.mark.parametrize("case", small_cases("cuda"), ids=lambda case: case.key)
def test_small_shapes(case: Case, impl: str) -> None:
    try:
        problem = make(case)
    except MissingOp as missing:
        pytest.skip(str(missing))
    oracle = Oracle(problem, DTYPES[case.dtype], case.passes == "fwd+bwd")
    try:
        assert oracle.check(impl) is None
    except (ValueError, NotImplementedError) as error:
        if isinstance(error, ValueError) and "impl must be one of" not in str(error):
            raise
        pytest.skip(f"{case.op} has no {impl} for this shape")


def test_two_training_steps_have_the_same_bits() -> None:
    from pcmamba.models import create_model

    xyz = torch.rand(4, 512, 3, generator=torch.Generator().manual_seed(1)).cuda()
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        model = create_model("pcm_tiny", num_classes=10).cuda()
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(xyz)
        logits.float().square().sum().backward()
        found.append([logits, *(p.grad for p in model.parameters() if p.grad is not None)])
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)
