"""CUDA graphs: a training step or a forward pass recorded once, then launched as a whole.

A small network is bound by the host, which spends more time on launching hundreds of kernels than
the GPU on running them. A replayed graph launches them all at once. It runs the same kernels on the
same numbers, so that the results have the same bits. The random draws of a replay depend on the
generator's seed at that moment, as they do without a graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from pcmamba.data.batch import ModelBatch
from pcmamba.models import Classifier

WARM_UP = 3  # eager calls before recording: kernels get compiled, the optimizer makes its state
MOST_SHAPES = 8

Result = TypeVar("Result")


class GraphError(RuntimeError):
    """Something cannot be recorded as a CUDA graph."""


class Recording(Generic[Result]):
    """A function of tensors recorded as a CUDA graph.

    Args:
        function: Called once while recording, with copies of `inputs`; must not wait for the GPU.
        inputs: Examples; later inputs must have the same shapes and dtypes.
        stream: Where the function ran before, so that what it keeps belongs to that stream.

    Raises:
        GraphError: The function cannot be recorded; says why.
    """

    def __init__(
        self,
        function: Callable[..., Result],
        inputs: tuple[Tensor | None, ...],
        stream: torch.cuda.Stream,
    ) -> None:
        self._inputs = tuple(None if x is None else x.clone() for x in inputs)
        self._graph = torch.cuda.CUDAGraph()
        generator = torch.cuda.default_generators[torch.cuda.current_device()]
        before = generator.clone_state()
        # Copies of weights in half precision made outside would be frozen into the graph.
        torch.clear_autocast_cache()
        try:
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                self._result = function(*self._inputs)
        except Exception as error:
            generator.graphsafe_set_state(before)  # a broken recording leaves it unusable
            raise GraphError(str(error).splitlines()[0]) from error
        finally:
            torch.clear_autocast_cache()

    def __call__(self, *inputs: Tensor | None) -> Result:
        """Replay; what is returned is overwritten by the next call."""
        for mine, given in zip(self._inputs, inputs, strict=True):
            if mine is not None and given is not None:
                mine.copy_(given)
        self._graph.replay()
        return self._result


class StepValues(NamedTuple):
    """What a training step leaves for the books.

    Attributes:
        loss: () float32.
        norm: () gradient norm before clipping.
        right: () int64 recordings of the batch classified rightly.
    """

    loss: Tensor
    norm: Tensor
    right: Tensor


class GraphedStep:
    """Run a training step for each batch: eagerly at first, then by replaying a graph of it.

    Every call is one whole step of the run, the eager ones too. Batches of another shape than the
    first are run eagerly.

    Args:
        step: Forward, loss, backward, clipping and optimizer for (labels, *inputs of the model).
        required: Raise where the step cannot be recorded, instead of going on without a graph.
    """

    def __init__(self, step: Callable[..., StepValues], required: bool) -> None:
        self._step, self._required = step, required
        self._calls = 0
        self._shapes: tuple[torch.Size | None, ...] = ()
        self._recording: Recording[StepValues] | None = None
        self._stream = torch.cuda.Stream()
        self.broken: str | None = None

    def __call__(self, batch: ModelBatch) -> StepValues:
        """Take one step.

        Raises:
            GraphError: A graph is required and cannot be recorded.
        """
        inputs = (batch.labels, *batch.inputs)
        shapes = tuple(None if x is None else x.shape for x in inputs)
        if self._calls == 0:
            self._shapes = shapes
        fits = shapes == self._shapes
        self._calls += 1
        if self._calls <= WARM_UP or self.broken is not None or not fits:
            return self._eager(inputs)
        if self._recording is None:
            try:
                self._recording = Recording(self._step, inputs, self._stream)
            except GraphError as error:
                self._give_up(error)
                return self._eager(inputs)
        return self._recording(*inputs)

    def _eager(self, inputs: tuple[Tensor | None, ...]) -> StepValues:
        # On the stream of the recording: a gradient's accumulation stays on its first stream.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            values = self._step(*inputs)
        torch.cuda.current_stream().wait_stream(self._stream)
        return values

    def _give_up(self, error: GraphError) -> None:
        if self._required:
            raise GraphError(
                f"trainer.cuda_graph must be auto or never for this model, got always: {error}"
            ) from error
        self.broken = str(error)
        print(f"cuda graph: none, steps are launched one kernel at a time ({error})", flush=True)


class GraphedForward:
    """Run a model without gradients by a graph for each shape of its input.

    A shape's first calls are eager. On a CPU, while the model trains, for shapes past the eighth
    and for models that cannot be recorded all calls are. The result belongs to the caller.

    Args:
        model: Its weights may change in place; where they move, the graphs are made anew.
    """

    def __init__(self, model: Classifier) -> None:
        self.model = model
        self._calls: dict[Any, int] = {}
        self._recordings: dict[Any, Recording[Tensor] | None] = {}
        self._places: tuple[int, ...] = ()

    @torch.no_grad()
    def __call__(self, *inputs: Tensor | None) -> Tensor:
        """Map a batch's `inputs` to logits (B, classes) as the model does."""
        on_gpu = any(x is not None and x.is_cuda for x in inputs)
        if not on_gpu or self.model.training:
            return self._eager(*inputs)
        self._forget_if_moved()
        recording = self._recording_for(*inputs)
        return self._eager(*inputs) if recording is None else recording(*inputs).clone()

    def _eager(self, *inputs: Tensor | None) -> Tensor:
        logits: Tensor = self.model(*inputs)
        return logits

    def _recording_for(self, *inputs: Tensor | None) -> Recording[Tensor] | None:
        shapes = tuple(None if x is None else (x.shape, x.dtype) for x in inputs)
        key = (*shapes, torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda"))
        if key not in self._recordings:
            self._calls[key] = self._calls.get(key, 0) + 1
            if self._calls[key] <= WARM_UP or len(self._recordings) >= MOST_SHAPES:
                return None
            try:
                self._recordings[key] = Recording(self._eager, inputs, torch.cuda.Stream())
            except GraphError:
                self._recordings[key] = None
        return self._recordings[key]

    def _forget_if_moved(self) -> None:
        places = tuple(value.data_ptr() for value in self.model.parameters())
        if places != self._places:
            self._places = places
            self._calls.clear()
            self._recordings.clear()
