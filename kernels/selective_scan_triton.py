"""Launchers of the selective scan in Triton."""

from __future__ import annotations

from pcmamba.kernels.selective_scan_bwd_triton import selective_scan_bwd
from pcmamba.kernels.selective_scan_fwd_triton import selective_scan_fwd

__all__ = ["selective_scan_bwd", "selective_scan_fwd"]
