"""Launcher of `serialize.cu`: clouds of up to 4096 points numbered and sorted in one launch."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.kernels._nvrtc import load
from pcmamba.kernels._serialize_job import MOST_SMALL, Job, launches


def macros(job: Job) -> tuple[tuple[str, int], ...]:
    """Return the variant: type of the coordinates, room for the largest cloud."""
    points = max(6, (job.longest - 1).bit_length())
    return ("CELLS", int(not job.xyz.is_floating_point())), ("LOG_POINTS", points)


def serialize_fwd(job: Job) -> tuple[Tensor, Tensor, Tensor]:
    """Return code, perm and inverse, each int64 (O, B, N) or (O, total)."""
    assert job.longest <= MOST_SMALL
    xyz = job.xyz
    if xyz.dtype not in (torch.float32, torch.int64):
        xyz = xyz.float() if xyz.is_floating_point() else xyz.long()
    shape = (len(job.orders), *job.xyz.shape[:-1])
    code = torch.empty(shape, dtype=torch.int64, device=xyz.device)
    out = code, torch.empty_like(code), torch.empty_like(code)
    variant, device = macros(job), xyz.get_device()
    threads = min(512, 1 << variant[1][1] - 1)
    scope = None
    if job.whole_batch:
        scope = xyz.new_zeros(3, dtype=torch.int32)
        load("serialize", "serialize_scope", "PPPifi", variant, device)(
            (job.clouds, 1, 1), threads, xyz, job.offsets, scope, job.longest, job.size, job.depth
        )
    launch = load("serialize", "serialize", "PPPPPPiqqfiq", variant, device)
    for first, count, word in launches(job):
        launch(
            (job.clouds, count, 1), threads,
            xyz, job.offsets, scope, *(part[first:] if first else part for part in out),
            job.longest, job.total, word, job.size, job.depth, job.start,
        )  # fmt: skip
    return out
