"""Differentiable operators: meaning, checks, reference and dispatch."""

from pcmamba.ops._impl import Impl
from pcmamba.ops.ball_query import ball_query
from pcmamba.ops.bidirectional_scan import ScanBranch, bidirectional_scan
from pcmamba.ops.causal_conv1d import causal_conv1d
from pcmamba.ops.event_histogram import event_histogram
from pcmamba.ops.events_to_voxel_grid import events_to_voxel_grid
from pcmamba.ops.farthest_point_sample import farthest_point_sample
from pcmamba.ops.group import group
from pcmamba.ops.group_std import group_std
from pcmamba.ops.interpolate_knn import interpolate_knn
from pcmamba.ops.knn import knn
from pcmamba.ops.lif import Spikes, lif
from pcmamba.ops.neighbors import Neighbors
from pcmamba.ops.orders import ORDERS
from pcmamba.ops.segment import segment_reduce
from pcmamba.ops.selective_scan import selective_scan
from pcmamba.ops.serialize import Scope, Serialization, serialize
from pcmamba.ops.time_surface import time_surface

__all__ = [
    "ORDERS",
    "Impl",
    "Neighbors",
    "ScanBranch",
    "Scope",
    "Serialization",
    "Spikes",
    "ball_query",
    "bidirectional_scan",
    "causal_conv1d",
    "event_histogram",
    "events_to_voxel_grid",
    "farthest_point_sample",
    "group",
    "group_std",
    "interpolate_knn",
    "knn",
    "lif",
    "segment_reduce",
    "selective_scan",
    "serialize",
    "time_surface",
]
