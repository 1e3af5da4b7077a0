"""Small and odd shapes of every op of the benchmark, for tests and for the sanitizer."""

from __future__ import annotations

import bench_bidirectional  # noqa: F401 # registers its builders
import bench_events  # noqa: F401
import bench_layers  # noqa: F401
from bench_inputs import BUILDERS
from bench_problem import DTYPES, Case, MissingOp, Problem

SMALL = {
    "selective_scan": ("3x67x72", "1x300x40"),
    "composed_core": ("2x35x40",),
    "bidirectional_core": ("3x67x72", "1x300x40"),
    "local_bidirectional_scan": ("2x64x72",),
    "mixer": ("2x35x24",),
    "causal_conv1d": ("3x67x72",),
    "add_rms_norm": ("130x100",),
    "serialize": ("3x200", "1x5000"),
    "farthest_point_sample": ("3x300x70", "1x9000x20"),
    "knn": ("2x50x200x24", "1x300x20000x16"),
    "ball_query": ("2x50x200x32",),
    "group_max": ("2x30x12x72x90",),
    "group_softmax": ("2x30x12x72x90",),
    "group_affine_max": ("2x30x12x72x90",),
    "group_std": ("2x30x12x72x90",),
    "causal_conv1d_pair": ("3x67x72",),
    "permute_rows": ("2x90x40",),
    "batch_norm_relu": ("300x72",),
    "batch_norm_max": ("2x30x12x72",),
    "gfcp": ("2x30x6x40",),
    "group_then_max": ("2x30x12x72x90",),
    "interpolate_knn": ("2x50x3x72x30",),
    "lif": ("5x1000",),
    "events_to_voxel_grid": ("3000x5x20x30",),
    "event_histogram": ("3000x5x20x30",),
    "time_surface": ("3000x20x30",),
    "draw_frames": ("3000x6x20x30x16x16",),
}
# Without gradients: integers, or events.
FORWARD_ONLY = {
    "serialize",
    "farthest_point_sample",
    "knn",
    "ball_query",
    "events_to_voxel_grid",
    "event_histogram",
    "time_surface",
    "draw_frames",
}


def small_cases(device: str) -> list[Case]:
    """Every small shape, in half precision too where there are gradients."""
    cases = []
    for op, shapes in SMALL.items():
        passes = "fwd" if op in FORWARD_ONLY else "fwd+bwd"
        for dtype in ("fp32",) if op in FORWARD_ONLY else ("fp32", "bf16"):
            cases += [Case(op, shape, dtype, passes, device=device) for shape in shapes]
    return cases


def make(case: Case) -> Problem:
    """Build the problem of a case.

    Raises:
        MissingOp: This version does not have the op.
    """
    if case.op not in BUILDERS:
        raise MissingOp(f"no {case.op} in the benchmark")
    return BUILDERS[case.op](case, DTYPES[case.dtype])
