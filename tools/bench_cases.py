"""The rows of the benchmark: what is asked for and hoped for, in milliseconds on an H200."""

from __future__ import annotations

import dataclasses

from bench_problem import Case

OPS = [
    Case("selective_scan", "32x1024x768", "bf16", "fwd", target=0.174),
    Case("selective_scan", "32x1024x768", "bf16", "fwd+bwd", 0.80, 0.50),
    Case("selective_scan", "32x1024x384", "bf16", "fwd+bwd", target=0.239),
    Case("selective_scan", "1x65536x512", "bf16", "fwd+bwd", target=0.998),
    Case("bidirectional_core", "32x1024x384", "bf16", "fwd+bwd", 0.75, 0.48),
    Case("bidirectional_core", "32x1024x768", "bf16", "fwd+bwd", 1.40, 0.92),
    Case("bidirectional_core", "32x4096x384", "bf16", "fwd+bwd", 2.8, 1.8),
    Case("bidirectional_core", "128x128x768", "bf16", "fwd+bwd", 0.80, 0.48),
    Case("bidirectional_core", "1x65536x512", "bf16", "fwd+bwd", 3.0, 1.8),
    Case("bidirectional_core", "32x1024x768", "bf16", "fwd", 0.45, 0.33),
    Case("composed_core", "32x1024x384", "bf16", "fwd+bwd"),
    Case("mixer", "32x1024x192", "bf16", "fwd+bwd", target=0.80),
    Case("local_bidirectional_scan", "32x1024x384", "bf16", "fwd+bwd"),
    Case("causal_conv1d", "32x1024x768", "bf16", "fwd"),
    Case("causal_conv1d", "32x1024x768", "bf16", "fwd+bwd"),
    Case("causal_conv1d_pair", "32x1024x768", "bf16", "fwd", target=0.045),
    Case("causal_conv1d_pair", "32x1024x768", "bf16", "fwd+bwd", target=0.112),
    Case("add_rms_norm", "32768x384", "bf16", "fwd"),
    Case("add_rms_norm", "32768x384", "bf16", "fwd+bwd"),
    Case("group_max", "32x512x24x384x1024", "bf16", "fwd", target=0.08),
    Case("group_max", "32x512x24x384x1024", "bf16", "fwd+bwd", 0.6, 0.3),
    Case("group_then_max", "32x512x24x384x1024", "bf16", "fwd+bwd"),
    Case("group_softmax", "32x512x24x384x1024", "bf16", "fwd+bwd"),
    Case("group_affine_max", "32x512x24x384x1024", "bf16", "fwd+bwd"),
    Case("group_std", "32x512x24x384x1024", "bf16", "fwd+bwd"),
    Case("batch_norm_relu", "393216x192", "bf16", "fwd+bwd"),
    Case("batch_norm_max", "32x512x12x384", "bf16", "fwd+bwd"),
    Case("permute_rows", "32x1024x384", "bf16", "fwd+bwd"),
    Case("gfcp", "32x128x4x384", "bf16", "fwd+bwd"),
    Case("interpolate_knn", "32x1024x3x384x256", "bf16", "fwd+bwd"),
]
EXACT = [
    Case("serialize", "32x1024", needed=0.10, target=0.03),
    Case("serialize", "1x1000000", needed=0.6, target=0.3),
    Case("farthest_point_sample", "32x1024x512", needed=0.35, target=0.2),
    Case("farthest_point_sample", "8x16384x4096", needed=7.0, target=3.5),
    Case("knn", "32x512x1024x24", needed=0.10, target=0.03),
    Case("knn", "1x131072x131072x16", needed=3.0, target=1.0),
    Case("ball_query", "32x512x1024x32", target=0.02),
    Case("lif", "16x1572864", passes="fwd", target=0.06),
    Case("lif", "16x1572864", passes="fwd+bwd", needed=0.35, target=0.2),
    Case("events_to_voxel_grid", "1048576x10x480x640", needed=0.06, target=0.03),
    Case("event_histogram", "1048576x10x480x640", target=0.025),
    Case("time_surface", "1048576x480x640"),
]
MODELS = [
    Case("pcm_tiny", "32x1024", "bf16", "train", 40, 10),
    Case("pcm_tiny", "32x1024", "bf16", "train graph", 40, 10),
    Case("pcm_tiny", "32x1024", "fp32", "train", 55),
    Case("pcm_tiny", "32x1024", "fp32", "train graph", 55),
    Case("pcm_tiny", "32x1024", "bf16", "eval", 12, 4),
    Case("pcm_tiny", "32x1024", "bf16", "eval graph", 12, 4),
    Case("pcm_tiny", "1x1024", "fp32", "eval", 6, 2),
    Case("pcm_tiny", "1x1024", "fp32", "eval graph", 6, 2),
]
# On a CPU what is needed is nanoseconds for each state element, two cores.
CPU = [
    Case("selective_scan", "1x1024x384", passes="fwd", needed=0.9, device="cpu"),
    Case("selective_scan", "1x1024x384", passes="fwd+bwd", needed=4.0, device="cpu"),
    Case("causal_conv1d", "1x1024x384", passes="fwd+bwd", device="cpu"),
    Case("add_rms_norm", "1024x384", passes="fwd+bwd", device="cpu"),
    Case("serialize", "4x1024", device="cpu"),
    Case("farthest_point_sample", "4x1024x512", device="cpu"),
    Case("knn", "4x512x1024x24", device="cpu"),
    Case("ball_query", "4x512x1024x32", device="cpu"),
    Case("group_max", "4x512x24x96x1024", passes="fwd+bwd", device="cpu"),
    Case("interpolate_knn", "4x1024x3x96x256", passes="fwd+bwd", device="cpu"),
    Case("lif", "16x65536", passes="fwd+bwd", device="cpu"),
    Case("events_to_voxel_grid", "65536x10x120x160", device="cpu"),
    Case("event_histogram", "65536x10x120x160", device="cpu"),
    Case("draw_frames", "320000x256x128x128x128x128", device="cpu"),
    Case("draw_frames", "320000x128x260x346x128x128", device="cpu"),
    Case("pcm_tiny", "4x1024", "fp32", "train", device="cpu"),
]
SLACK_FP32 = 1.5


def in_fp32(case: Case) -> Case:
    """The same row in float32: allowed one and a half times as long."""
    needed, target = (None if t is None else SLACK_FP32 * t for t in (case.needed, case.target))
    return dataclasses.replace(case, dtype="fp32", needed=needed, target=target)


CASES = [*OPS, *EXACT, *MODELS, *map(in_fp32, OPS), *CPU]


def select(
    device: str, op: str | None = None, shape: str | None = None, dtype: str | None = None
) -> list[Case]:
    """Return the cases of a device, of which op, shape and dtype are those given (comma lists).

    Raises:
        ValueError: Nothing is left.
    """
    wanted = {"op": op, "shape": shape, "dtype": dtype}
    found = [
        case
        for case in CASES
        if case.device == device
        and all(v is None or getattr(case, k) in v.split(",") for k, v in wanted.items())
    ]
    if not found:
        known = sorted({case.op for case in CASES if case.device == device})
        raise ValueError(
            f"op, shape and dtype must name a case on {device}, got {wanted}; "
            f"ops are {', '.join(known)}"
        )
    return found
