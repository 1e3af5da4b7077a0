"""What a benchmark case is made of: inputs named by shape letters, a call, and its floor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

# Measured on an H200 (132 SMs): copy, L2 reads, exp2, instruction issue, all per second.
COPY, L2_READ, EXP, ISSUE = 4.2e12, 5.5e12, 3.85e12, 3.35e13
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Inputs = dict[str, Tensor | None]


class MissingOp(Exception):
    """The version of the library at hand does not have the op or the implementation."""


@dataclass(frozen=True)
class Work:
    """What one pass has to do at least.

    Attributes:
        bytes: Moved to or from memory.
        l2_bytes: Read again from the L2 cache.
        exps: Exponentials and other special functions.
        slots: Instructions, of one lane.
    """

    bytes: float = 0
    l2_bytes: float = 0
    exps: float = 0
    slots: float = 0

    def floor(self) -> tuple[float, str]:
        """Milliseconds on an H200, and what bounds them."""
        times = {
            "bytes": self.bytes / COPY,
            "L2": self.l2_bytes / L2_READ,
            "exp": self.exps / EXP,
            "issue": self.slots / ISSUE,
        }
        bound = max(times, key=lambda name: times[name])
        return 1000 * times[bound], bound


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        op: Name of the problem in `bench_inputs.BUILDERS`.
        shape: Its sizes, joined by "x".
        dtype: "fp32", "bf16" or "fp16".
        passes: "fwd", "fwd+bwd", or for models "train" and "eval", with " graph" for CUDA graphs.
        needed: Milliseconds that are asked for on an H200, or nanoseconds for each state element
            on a CPU.
        target: What is hoped for, in the same unit.
        device: "cuda" or "cpu".
    """

    op: str
    shape: str
    dtype: str = "fp32"
    passes: str = "fwd"
    needed: float | None = None
    target: float | None = None
    device: str = "cuda"

    @property
    def key(self) -> str:
        """Name of the row."""
        return f"{self.op} {self.shape} {self.dtype} {self.passes} {self.device}"

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes as numbers."""
        return tuple(int(size) for size in self.shape.split("x"))


@dataclass
class Problem:
    """Inputs of an op, how to call it, and how to cut a part out for the check.

    Attributes:
        inputs: Tensors by name; floating ones are cast to float64 for the check.
        call: Maps (inputs, impl) to the results.
        letters: Shape letters of the inputs, e.g. {"u": "BLD", "A": "DS"}.
        results: Shape letters of the results.
        differentiate: Inputs whose gradients count to the backward pass.
        keep: Entries of an axis that the check compares, the first and the last ones of it; no
            result may mix what is kept with what is not, except through sums of gradients.
        work: Floor of the forward and of the backward pass.
        elements: State elements, for times on a CPU.
        exact: Computes the results in another way than `impl="reference"`, for shapes that it is
            too slow for.
        eager: Computes the results in the dtype of the case in plain torch, where the reference
            goes through float64 whatever its inputs; its error is what the check allows for.
    """

    inputs: Inputs
    call: Callable[[Inputs, str], Sequence[Tensor]]
    letters: dict[str, str]
    results: tuple[str, ...]
    differentiate: tuple[str, ...] = ()
    keep: dict[str, int] = field(default_factory=dict)
    work: tuple[Work, ...] = ()
    elements: int = 0
    exact: Callable[[Inputs], Sequence[Tensor]] | None = None
    eager: Callable[[Inputs], Sequence[Tensor]] | None = None

    def reference(self, inputs: Inputs) -> Sequence[Tensor]:
        """Call the oracle."""
        return self.call(inputs, "reference") if self.exact is None else self.exact(inputs)


@dataclass
class Whole:
    """A model's step: timed as it is, checked by a function of its own.

    Attributes:
        run: Takes the number of the run.
        check: Returns what is wrong, or None.
    """

    run: Callable[[int], Any]
    check: Callable[[], str | None]


def narrow(tensor: Tensor, letters: str, keep: dict[str, int]) -> Tensor:
    """Keep the first and last entries of the axes that `keep` names."""
    for axis, letter in enumerate(letters):
        count = keep.get(letter, tensor.shape[axis])
        if count < tensor.shape[axis]:
            tensor = tensor.index_select(axis, kept(tensor.shape[axis], count, tensor.device))
    return tensor


def kept(size: int, count: int, device: torch.device) -> Tensor:
    """Indices of the first and last `count` entries of `size`, half of each."""
    head = (count + 1) // 2
    numbers = torch.arange(count, device=device)
    return torch.where(numbers < head, numbers, numbers + size - count)
