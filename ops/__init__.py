"""Differentiable operators: meaning, checks, reference and dispatch."""

from pcmamba.ops._impl import Impl
from pcmamba.ops._norm import RunningStats
from pcmamba.ops.adaptive_frames import adaptive_frames
from pcmamba.ops.add_rms_norm import NormedStream, add_rms_norm
from pcmamba.ops.ball_query import ball_query
from pcmamba.ops.batch_norm_max import batch_norm_max
from pcmamba.ops.batch_norm_relu import batch_norm_relu
from pcmamba.ops.bidirectional_scan import ScanBranch, bidirectional_scan
from pcmamba.ops.causal_conv1d import causal_conv1d
from pcmamba.ops.causal_conv1d_pair import ConvPair, causal_conv1d_pair
from pcmamba.ops.chamfer_distance import chamfer_distance
from pcmamba.ops.denoise_events import denoise_events
from pcmamba.ops.draw_events import draw_events
from pcmamba.ops.draw_frames import draw_frames
from pcmamba.ops.event_histogram import event_histogram
from pcmamba.ops.events_to_voxel_grid import events_to_voxel_grid
from pcmamba.ops.farthest_point_sample import farthest_point_sample
from pcmamba.ops.gfcp import gfcp
from pcmamba.ops.group import group
from pcmamba.ops.group_affine_max import group_affine_max
from pcmamba.ops.group_max import group_max
from pcmamba.ops.group_softmax import group_softmax
from pcmamba.ops.group_std import group_std
from pcmamba.ops.interpolate_knn import interpolate_knn
from pcmamba.ops.knn import knn
from pcmamba.ops.lif import Spikes, lif
from pcmamba.ops.local_bidirectional_scan import local_bidirectional_scan
from pcmamba.ops.neighbors import Neighbors
from pcmamba.ops.orders import ORDERS
from pcmamba.ops.permute_rows import permute_rows
from pcmamba.ops.resize_bilinear import resize_bilinear
from pcmamba.ops.segment import segment_reduce
from pcmamba.ops.selective_scan import selective_scan
from pcmamba.ops.serialize import Scope, Serialization, serialize
from pcmamba.ops.slice_events import frame_bounds, slice_events
from pcmamba.ops.time_surface import time_surface
from pcmamba.ops.wide_linear import wide_linear

__all__ = [
    "ORDERS",
    "ConvPair",
    "Impl",
    "Neighbors",
    "NormedStream",
    "RunningStats",
    "ScanBranch",
    "Scope",
    "Serialization",
    "Spikes",
    "adaptive_frames",
    "add_rms_norm",
    "ball_query",
    "batch_norm_max",
    "batch_norm_relu",
    "bidirectional_scan",
    "causal_conv1d",
    "causal_conv1d_pair",
    "chamfer_distance",
    "denoise_events",
    "draw_events",
    "draw_frames",
    "event_histogram",
    "events_to_voxel_grid",
    "farthest_point_sample",
    "frame_bounds",
    "gfcp",
    "group",
    "group_affine_max",
    "group_max",
    "group_softmax",
    "group_std",
    "interpolate_knn",
    "knn",
    "lif",
    "local_bidirectional_scan",
    "permute_rows",
    "resize_bilinear",
    "segment_reduce",
    "selective_scan",
    "serialize",
    "slice_events",
    "time_surface",
    "wide_linear",
]
