"""Whether an implementation may be timed: its error, exact integers, the same bits twice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from bench_problem import Inputs, Problem, narrow
from torch import Tensor


def leaves(problem: Problem, inputs: Inputs, backward: bool) -> Inputs:
    """Copy the inputs, with gradients wanted where the backward pass needs them."""
    fresh: Inputs = {}
    for name, tensor in inputs.items():
        copy = None if tensor is None else tensor.detach().clone()
        if copy is not None and backward and name in problem.differentiate:
            copy.requires_grad_()
        fresh[name] = copy
    return fresh


Grads = list[tuple[str, Tensor]]


def output_grads(problem: Problem, results: Sequence[Tensor], *, cut: bool, seed: int = 7) -> Grads:
    """Random gradients of the differentiable results, with their letters.

    Args:
        problem: Says the letters of the results, and what of them the check keeps.
        results: Computed with gradients wanted.
        cut: Make the gradients 0 outside of what is kept.
        seed: Of the draws.
    """
    grads: Grads = []
    for letters, y in zip(problem.results, results, strict=True):
        if not y.requires_grad:
            continue
        generator = torch.Generator(y.device).manual_seed(seed)
        grad = torch.randn(y.shape, generator=generator, device=y.device).to(y.dtype)
        for axis, letter in enumerate(letters if cut else ""):
            count = problem.keep.get(letter, y.shape[axis])
            if count < y.shape[axis]:
                grad.narrow(axis, (count + 1) // 2, y.shape[axis] - count).zero_()
        grads.append((letters, grad))
    return grads


def run(problem: Problem, inputs: Inputs, impl: str, grads: Grads | None) -> list[Tensor]:
    """Results, and with `grads` the gradients of the inputs; impl "exact" is the oracle."""
    values = leaves(problem, inputs, grads is not None)
    with torch.set_grad_enabled(grads is not None):
        results = problem.reference(values) if impl == "exact" else problem.call(values, impl)
    found = [y.detach() for y in results]
    if grads is None:
        return found
    wanted = [values[name] for name in _wanted(problem)]
    outputs = [y for y in results if y.requires_grad]
    casts = [g.to(y.dtype) for (_, g), y in zip(grads, outputs, strict=True)]
    return found + list(torch.autograd.grad(outputs, wanted, casts))


class Oracle:
    """The reference's results of a problem, in its own dtype and in float64.

    Args:
        problem: What is computed.
        dtype: Of its tensors.
        backward: Compare the gradients as well.
    """

    def __init__(self, problem: Problem, dtype: torch.dtype, backward: bool) -> None:
        self.problem, self.dtype = problem, dtype
        self.names = [f"result {i}" for i in range(len(problem.results))]
        self.letters = list(problem.results)
        self.grads = self._make_grads() if backward else None
        if backward:
            self.names += [f"gradient of {name}" for name in _wanted(problem)]
            self.letters += [problem.letters[name] for name in _wanted(problem)]
        part = {
            name: None if t is None else narrow(t, problem.letters[name], problem.keep)
            for name, t in problem.inputs.items()
        }
        small = self.grads and [(s, narrow(g, s, problem.keep)) for s, g in self.grads]
        self.small, self.part = small, part
        self.eager = run(problem, part, "exact", small)
        if problem.eager is not None:
            self.eager = list(problem.eager(part))
        self._by_steps: list[Tensor] | None = None
        wide = {n: t.double() if _floating(t) else t for n, t in part.items()}
        self.exact = run(problem, wide, "exact", small)

    def _make_grads(self) -> Grads:
        with torch.enable_grad():
            results = self.problem.call(leaves(self.problem, self.problem.inputs, True), "auto")
        return output_grads(self.problem, results, cut=True)

    def check(self, impl: str) -> str | None:
        """Say what is wrong with an implementation, or None.

        Floating results and gradients may be off from float64 on the same (quantised) inputs by
        2 times the error of the reference in `dtype` plus 4 eps, in the Euclidean norm. Integers
        must equal the reference's. Two runs must give the same bits.
        """
        first = run(self.problem, self.problem.inputs, impl, self.grads)
        second = run(self.problem, self.problem.inputs, impl, self.grads)
        for name, a, b in zip(self.names, first, second, strict=True):
            if not torch.equal(_bits(a), _bits(b)):
                return f"{name} differs between two runs"
        del second
        for i, got in enumerate(first):
            part = narrow(got, self.letters[i], self.problem.keep)
            wrong = compare(part, self.eager[i], self.exact[i], self.dtype)
            if wrong and self.problem.exact is not None:
                wrong = compare(part, self.by_steps()[i], self.exact[i], self.dtype)
            if wrong:
                return f"{self.names[i]} {wrong}"
        return None

    def by_steps(self) -> list[Tensor]:
        """The reference itself, for hundreds of times the steps where `exact` goes by segments.

        Sums over segments are more exact than the plain ones, so this is the error allowed.
        """
        if self._by_steps is None:
            self._by_steps = run(self.problem, self.part, "reference", self.small)
        return self._by_steps


def compare(got: Tensor, eager: Tensor, exact: Tensor, dtype: torch.dtype) -> str | None:
    """Say what is wrong with one result, given the reference in `dtype` and in float64."""
    if got.shape != eager.shape:
        return f"has shape {tuple(got.shape)}, not {tuple(eager.shape)}"
    if not got.is_floating_point():
        unlike = int((got != eager).sum())
        return f"has {unlike} wrong integers of {got.numel()}" if unlike else None
    size = exact.double().norm().clamp_min(torch.finfo(torch.float32).tiny)
    error = float((got.double() - exact).norm() / size)
    allowed = 2 * float((eager.double() - exact).norm() / size) + 4 * torch.finfo(dtype).eps
    # Written so that NaN fails.
    return None if error <= allowed else f"is off by {error:.2e}, allowed {allowed:.2e}"


def _wanted(problem: Problem) -> list[str]:
    return [n for n in problem.differentiate if problem.inputs[n] is not None]


def _floating(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.is_floating_point()


def _bits(tensor: Tensor) -> Tensor:
    """NaN is unlike itself, its bits are not."""
    kinds = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.view(kinds[tensor.element_size()]) if tensor.is_floating_point() else tensor
