"""Where a training step on the CPU spends its time: matrix products, batch norm, the rest.

Usage: python tools/profile_step.py [MODEL] [BATCH]
"""

from __future__ import annotations

import sys

import pcmamba  # isort: skip # sets how OpenMP waits, before torch reads it
import torch
from torch.profiler import ProfilerActivity, profile

PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::mkldnn_linear")
NORMS = ("aten::native_batch_norm", "aten::native_batch_norm_backward")

name = sys.argv[1] if len(sys.argv) > 1 else "pcm_tiny"
batch = int(sys.argv[2]) if len(sys.argv) > 2 else 4
torch.manual_seed(0)
model = pcmamba.create_model(name, num_classes=40)
xyz = torch.nn.functional.normalize(torch.randn(batch, 1024, 3), dim=-1)


def step() -> None:
    model.zero_grad(set_to_none=True)
    torch.nn.functional.cross_entropy(model(xyz), torch.arange(batch) % 40).backward()


step()  # compiles the CPU loops
with profile(activities=[ProfilerActivity.CPU]) as record:
    step()
times = {event.key: event.self_cpu_time_total for event in record.key_averages()}
total = sum(times.values())
products, norms = (sum(times.get(key, 0) for key in keys) for keys in (PRODUCTS, NORMS))
print(
    f"{name}, batch {batch}, 1024 points, {torch.get_num_threads()} threads: {total / 1e3:.0f} ms"
)
print(f"matrix products {products / total:.0%}, batch norm {norms / total:.0%}")
print(f"the rest {(total - products - norms) / total:.0%}, of which the largest are")
rest = {key: time for key, time in times.items() if key not in PRODUCTS + NORMS}
for key, time in sorted(rest.items(), key=lambda item: -item[1])[:10]:
    print(f"  {time / total:5.1%}  {key}")
