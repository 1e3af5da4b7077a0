"""Triton kernels of `add_rms_norm`: a program holds whole rows in registers.

In the backward pass a program walks a share of the rows and keeps one partial sum of the weight's
gradient; their number follows from the shape alone and they are added in a fixed order.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 2048  # numbers a program holds of one tensor, if a row has no more
PROGRAMS = 512  # of the backward pass, at most


def add_rms_norm_fwd(
    x: Tensor, weight: Tensor, residual: Tensor | None, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y (R, C) in `dtype`, the stream (R, C) and the factor of each row, float32."""
    rows, channels = x.shape
    y = torch.empty(rows, channels, dtype=dtype, device=x.device)
    stream = torch.empty(rows, channels, dtype=torch.float32, device=x.device)
    scale = torch.empty(rows, dtype=torch.float32, device=x.device)
    blocks = block_sizes(channels)
    if rows:
        _norm_fwd_kernel[(triton.cdiv(rows, blocks["BLOCK_R"]),)](
            x, weight, residual, y, stream, scale, rows, channels, eps, **blocks
        )
    return y, stream, scale


def add_rms_norm_bwd(
    grad_y: Tensor,
    grad_stream: Tensor | None,
    weight: Tensor,
    stream: Tensor,
    scale: Tensor,
    x_dtype: torch.dtype,
    residual_dtype: torch.dtype | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx (R, C) in `x_dtype`, dweight (C,) float32 and dresidual in its dtype or empty."""
    rows, channels = stream.shape
    blocks = block_sizes(channels)
    tiles = triton.cdiv(rows, blocks["BLOCK_R"])
    programs = min(tiles, PROGRAMS)
    dx = torch.empty(rows, channels, dtype=x_dtype, device=stream.device)
    dresidual = None if residual_dtype is None else torch.empty_like(dx, dtype=residual_dtype)
    parts = torch.empty(programs, channels, dtype=torch.float32, device=stream.device)
    if rows:
        _norm_bwd_kernel[(programs,)](
            grad_y, grad_stream, weight, stream, scale, dx, dresidual, parts,
            rows, channels, triton.cdiv(tiles, programs), **blocks,
        )  # fmt: skip
    return dx, parts.sum(0), stream.new_empty(0) if dresidual is None else dresidual


def block_sizes(channels: int) -> dict[str, int]:
    """Whole rows, as many as fill a tile; wide rows take more warps."""
    width = triton.next_power_of_2(channels)
    return {
        "BLOCK_R": max(1, TILE // width),
        "BLOCK_C": width,
        "num_warps": min(16, max(4, width // 512)),
    }


@triton.jit
def _load(ptr, places, mask):
    return tl.load(ptr + places, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _norm_fwd_kernel(
    x_ptr, weight_ptr, residual_ptr, y_ptr, stream_ptr, scale_ptr, num_rows, C, eps,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * BLOCK_R + tl.arange(0, BLOCK_R)
    offs_c = tl.arange(0, BLOCK_C)
    mask_r, mask_c = rows < num_rows, offs_c < C
    mask = mask_r[:, None] & mask_c[None, :]
    places = rows[:, None] * C + offs_c[None, :]
    stream = _load(x_ptr, places, mask)
    if residual_ptr is not None:
        stream = _load(residual_ptr, places, mask) + stream
    scale = 1.0 / tl.sqrt(tl.sum(stream * stream, axis=1) / C + eps)
    weight = _load(weight_ptr, offs_c, mask_c)
    y = stream * scale[:, None] * weight[None, :]
    tl.store(stream_ptr + places, stream, mask=mask)
    tl.store(y_ptr + places, y.to(y_ptr.dtype.element_ty), mask=mask)
    tl.store(scale_ptr + rows, scale, mask=mask_r)


@triton.jit
def _norm_bwd_kernel(
    grad_ptr, grad_stream_ptr, weight_ptr, stream_ptr, scale_ptr, dx_ptr, dresidual_ptr, parts_ptr,
    num_rows, C, share,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    offs_c = tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    weight = _load(weight_ptr, offs_c, mask_c)
    part = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    for i in range(0, share):
        rows = (program * share + i) * BLOCK_R + tl.arange(0, BLOCK_R)
        mask_r = rows < num_rows
        mask = mask_r[:, None] & mask_c[None, :]
        places = rows[:, None] * C + offs_c[None, :]
        scale = _load(scale_ptr, rows, mask_r)
        normed = _load(stream_ptr, places, mask) * scale[:, None]
        grad = _load(grad_ptr, places, mask)
        part += grad * normed
        grad *= weight[None, :]
        pull = tl.sum(grad * normed, axis=1) / C
        dx = scale[:, None] * (grad - normed * pull[:, None])
        if grad_stream_ptr is not None:
            dx += _load(grad_stream_ptr, places, mask)
        tl.store(dx_ptr + places, dx.to(dx_ptr.dtype.element_ty), mask=mask)
        if dresidual_ptr is not None:
            tl.store(dresidual_ptr + places, dx.to(dresidual_ptr.dtype.element_ty), mask=mask)
    tl.store(parts_ptr + program * C + offs_c, tl.sum(part, axis=0), mask=mask_c)
