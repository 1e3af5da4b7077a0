"""Where a training step spends its time, and how long it takes.

On a CPU: matrix products, batch norm and the rest. On a GPU: the step (forward, loss, backward,
clipping, AdamW) launched kernel by kernel and as one CUDA graph, its kernels, and evaluation.

Usage: python tools/profile_step.py [--model NAME] [--batch B] [--precision 32|bf16] [--rows N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import pcmamba  # isort: skip # sets how OpenMP waits, before torch reads it
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from pcmamba.models import PointClassifier
from pcmamba.train.graph import Recording

PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::mkldnn_linear")
NORMS = (
    "aten::native_batch_norm",
    "aten::native_batch_norm_backward",
    "pcmamba::batch_norm_relu_fwd",
    "pcmamba::batch_norm_relu_bwd",
    "pcmamba::batch_norm_max_fwd",
    "pcmamba::batch_norm_max_bwd",
)
POINTS, CLASSES = 1024, 40


def make_inputs(batch: int, device: str) -> tuple[Tensor, Tensor]:
    """Draw clouds on the sphere and labels."""
    draw = torch.Generator().manual_seed(0)
    xyz = torch.nn.functional.normalize(torch.randn(batch, POINTS, 3, generator=draw), dim=-1)
    return xyz.to(device), (torch.arange(batch) % CLASSES).to(device)


def make_step(model: PointClassifier, precision: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a training step that needs no word with the host."""
    rate = torch.tensor(1e-4, device="cuda")
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, fused=True, capturable=True)

    def step(xyz: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            logits = model(xyz)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    return step


def spread(function: Callable[[], object], repeats: int = 20) -> str:
    """Time a call by CUDA events: median, least and ninetieth percentile in ms."""
    times = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        function()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    times.sort()
    return (
        f"{statistics.median(times):7.2f} ms (least {times[0]:.2f}, "
        f"90 % below {times[int(0.9 * repeats)]:.2f})"
    )


def report_both(name: str, function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
    """Time a function kernel by kernel and as a graph."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            function(*inputs)
        print(f"{name}, kernel by kernel: {spread(lambda: function(*inputs), 10)}", flush=True)
    recording = Recording(function, inputs, stream)
    print(f"{name}, as a graph:       {spread(lambda: recording(*inputs))}", flush=True)


def report_kernels(function: Callable[[], object], rows: int) -> None:
    """List the kernels of one call, the longest first."""
    with profile(activities=[ProfilerActivity.CUDA]) as record:
        function()
        torch.cuda.synchronize()
    kernels = [e for e in record.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    kernels = [e for e in kernels if not e.name.startswith(("Mem", "Optimizer."))]
    total = sum(e.device_time_total for e in kernels)
    print(f"{len(kernels)} kernels, {total / 1e3:.2f} ms")
    sums: dict[str, list[float]] = {}
    for event in kernels:
        entry = sums.setdefault(event.name, [0.0, 0])
        entry[0] += event.device_time_total
        entry[1] += 1
    for name, (duration, count) in sorted(sums.items(), key=lambda item: -item[1][0])[:rows]:
        print(f"  {duration / 1e3:7.3f} ms {count:5.0f}  {name[:150]}")


def on_gpu(model: PointClassifier, batch: int, precision: str, rows: int) -> None:
    """Report training and evaluation on a GPU."""
    xyz, labels = make_inputs(batch, "cuda")
    step = make_step(model.cuda(), precision)
    report_both(f"training, batch {batch}, {precision}", step, (xyz, labels))
    report_kernels(lambda: step(xyz, labels), rows)
    print(f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")

    def forward(xyz: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            return model(xyz)

    model.eval()
    for clouds in dict.fromkeys((batch, 1)):
        report_both(f"evaluation, batch {clouds}, {precision}", forward, (xyz[:clouds],))


def on_cpu(model: PointClassifier, batch: int, rows: int) -> None:
    """Report a training step on the CPU."""
    xyz, labels = make_inputs(batch, "cpu")

    def step() -> None:
        model.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(xyz), labels).backward()

    step()  # compiles the CPU loops
    begin = time.perf_counter()
    step()
    elapsed = time.perf_counter() - begin
    with profile(activities=[ProfilerActivity.CPU]) as record:
        step()
    times = {event.key: event.self_cpu_time_total for event in record.key_averages()}
    total = sum(times.values())
    products, norms = (sum(times.get(key, 0) for key in keys) for keys in (PRODUCTS, NORMS))
    print(f"{elapsed * 1e3:.0f} ms a step, {torch.get_num_threads()} threads")
    print(f"matrix products {products / total:.0%}, batch norm {norms / total:.0%}")
    print(f"the rest {(total - products - norms) / total:.0%}, of which the largest are")
    rest = {key: time for key, time in times.items() if key not in PRODUCTS + NORMS}
    for key, duration in sorted(rest.items(), key=lambda item: -item[1])[:rows]:
        print(f"  {duration / total:5.1%}  {key}")


def main() -> None:
    """Read the options and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pcm_tiny")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--precision", choices=("32", "bf16"), default="bf16")
    parser.add_argument("--rows", type=int, default=10)
    options = parser.parse_args()
    gpu = torch.cuda.is_available()
    batch = options.batch or (32 if gpu else 4)
    torch.manual_seed(0)
    model = pcmamba.create_model(options.model, num_classes=CLASSES)
    device = torch.cuda.get_device_name() if gpu else "cpu"
    print(f"{options.model}, batch {batch}, {POINTS} points, torch {torch.__version__}, {device}")
    if gpu:
        on_gpu(model, batch, options.precision, options.rows)
    else:
        on_cpu(model, batch, options.rows)


if __name__ == "__main__":
    main()
