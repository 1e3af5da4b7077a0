"""Triton kernels of serialization: codes of all orders, and the sort of small clouds.

A cloud of up to 4096 points is one program for each order: bounds, cells, codes, sort, inverse.
Larger ones take their bounds in parts, then their codes, and torch's stable radix sort, on keys
that hold order, cloud and code in as few bits as the depth allows.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels._serialize_job import MOST_SMALL, Job, code_bits, launches
from pcmamba.kernels._serialize_triton import (
    CELLS,
    CUBED,
    SIZED,
    cell_of,
    encode,
    longest,
    read,
    smallest_of_none,
    span,
)

BLOCK_N = 1024
MOST_PARTS = 128  # parts of a cloud's bounds


def serialize_fwd(job: Job) -> tuple[Tensor, Tensor, Tensor]:
    """Return code, perm and inverse, each int64 (O, B, N) or (O, total)."""
    shape = (len(job.orders), *job.xyz.shape[:-1])
    code = job.xyz.new_empty(shape, dtype=torch.int64)
    perm, inverse = torch.empty_like(code), torch.empty_like(code)
    if job.longest <= MOST_SMALL:
        _sort_small(job, code, perm, inverse)
    else:
        _sort_large(job, code, perm, inverse)
    return code, perm, inverse


def _kind(job: Job) -> int:
    """Return how coordinates become cells."""
    if not job.xyz.is_floating_point():
        return CELLS.value
    return SIZED.value if job.size > 0 else CUBED.value


def scope_of(job: Job) -> Tensor | None:
    """Return the largest cells (3,) int32 of the batch, or None where each cloud has its own."""
    if not job.whole_batch:
        return None
    parts, count = _find_bounds(job)
    extent = torch.empty(job.clouds, 4, dtype=torch.int32, device=job.xyz.device)
    _extent_kernel[(job.clouds,)](
        parts, extent, count, job.size, job.depth, KIND=_kind(job), PARTS=MOST_PARTS
    )
    return extent.amax(0)


def _sort_small(job: Job, code: Tensor, perm: Tensor, inverse: Tensor) -> None:
    scope = scope_of(job)
    block = max(16, triton.next_power_of_2(job.longest))
    for first, count, word in launches(job):
        _small_kernel[(job.clouds, count)](
            job.xyz, job.offsets, scope, code[first:], perm[first:], inverse[first:],
            job.xyz.shape[-2], job.total, word, job.size, job.depth, job.start,
            KIND=_kind(job), BLOCK_N=block, num_warps=min(16, max(1, block // 128)),
        )  # fmt: skip


def _sort_large(job: Job, code: Tensor, perm: Tensor, inverse: Tensor) -> None:
    rows = len(job.orders) * job.clouds
    row_bits = (rows - 1).bit_length()
    packed = code_bits(job) + row_bits <= 64
    dtype = torch.int32 if code_bits(job) + row_bits <= 32 else torch.int64
    key = torch.empty(code.shape, dtype=dtype, device=code.device) if packed else code
    _number(job, code, key if packed else None)
    order = torch.sort(key.view(-1), stable=True).indices if packed else _sort_twice(job, code)
    _invert_kernel[(triton.cdiv(code.numel(), BLOCK_N),)](
        order, job.offsets, perm, inverse,
        code.numel(), job.total, job.longest, job.clouds, (job.clouds - 1).bit_length(),
        BLOCK_N=BLOCK_N,
    )  # fmt: skip


def _sort_twice(job: Job, code: Tensor) -> Tensor:
    """Sort by code, then by row: the pair does not fit one integer."""
    places = torch.arange(job.total, device=code.device)
    if job.offsets is None:
        cloud = places // job.longest
    else:
        cloud = torch.searchsorted(job.offsets, places, right=True) - 1
    rows = torch.arange(len(job.orders), device=code.device)[:, None] * job.clouds + cloud
    narrow = torch.int16 if len(job.orders) * job.clouds < 1 << 15 else torch.int64
    order = torch.sort(code.view(-1), stable=True).indices
    return order[torch.sort(rows.view(-1)[order].to(narrow), stable=True).indices]


def _number(job: Job, code: Tensor, key: Tensor | None) -> None:
    """Write the codes and, where wanted, the keys that hold row and code."""
    scope = scope_of(job)
    parts, count = _find_bounds(job)
    programs = max(1, min(triton.cdiv(job.longest, BLOCK_N), 4096 // job.clouds))
    for first, orders, word in launches(job):
        _code_kernel[(job.clouds * programs, orders)](
            job.xyz, job.offsets, parts, scope, code[first:], None if key is None else key[first:],
            job.longest, job.total, count, programs, word, job.size, job.depth, job.start,
            first * job.clouds - len(job.orders) * job.clouds // 2, code_bits(job),
            KIND=_kind(job), PARTS=MOST_PARTS, BLOCK_N=BLOCK_N,
        )  # fmt: skip


def _find_bounds(job: Job) -> tuple[Tensor, int]:
    """Return bounds of the parts of each cloud (B, P, 8) and P: three minima, three maxima."""
    count = max(1, min(MOST_PARTS, triton.cdiv(job.longest, BLOCK_N), 1024 // job.clouds))
    dtype = torch.int64 if _kind(job) == CELLS.value else torch.float32
    parts = torch.empty(job.clouds, count, 8, dtype=dtype, device=job.xyz.device)
    _bounds_kernel[(job.clouds, count)](
        job.xyz, job.offsets, parts, job.longest, count, KIND=_kind(job), BLOCK_N=BLOCK_N
    )
    return parts, count


@triton.jit
def _bounds_kernel(
    xyz_ptr, offsets_ptr, parts_ptr, N, count, KIND: tl.constexpr, BLOCK_N: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    first, length = span(offsets_ptr, row, N)
    none = smallest_of_none(KIND)
    low_x = tl.zeros((BLOCK_N,), none.dtype) + none
    low_y = low_x
    low_z = low_x
    high_x = -low_x
    high_y = -low_x
    high_z = -low_x
    begin = part.to(tl.int64) * BLOCK_N
    while begin < length:
        offs_n = begin + tl.arange(0, BLOCK_N)
        mask = offs_n < length
        x = read(xyz_ptr, first + offs_n, 0, mask, none, KIND)
        y = read(xyz_ptr, first + offs_n, 1, mask, none, KIND)
        z = read(xyz_ptr, first + offs_n, 2, mask, none, KIND)
        low_x = tl.minimum(low_x, x)
        low_y = tl.minimum(low_y, y)
        low_z = tl.minimum(low_z, z)
        high_x = tl.maximum(high_x, tl.where(mask, x, -none))
        high_y = tl.maximum(high_y, tl.where(mask, y, -none))
        high_z = tl.maximum(high_z, tl.where(mask, z, -none))
        begin += BLOCK_N * count
    out = parts_ptr + (row * count + part) * 8
    tl.store(out, tl.min(low_x, axis=0))
    tl.store(out + 1, tl.min(low_y, axis=0))
    tl.store(out + 2, tl.min(low_z, axis=0))
    tl.store(out + 3, tl.max(high_x, axis=0))
    tl.store(out + 4, tl.max(high_y, axis=0))
    tl.store(out + 5, tl.max(high_z, axis=0))


@triton.jit
def _joined(parts_ptr, row, count, axis, KIND: tl.constexpr, PARTS: tl.constexpr):
    """Bounds of a cloud along one axis."""
    none = smallest_of_none(KIND)
    offs = tl.arange(0, PARTS)
    part = parts_ptr + (row * count + offs) * 8 + axis
    low = tl.min(tl.load(part, mask=offs < count, other=none), axis=0)
    return low, tl.max(tl.load(part + 3, mask=offs < count, other=-none), axis=0)


@triton.jit
def _edge(low_x, high_x, low_y, high_y, low_z, high_z, size, depth, KIND: tl.constexpr):
    """Edge of a cell of this cloud."""
    edge = size
    if KIND == CUBED:
        side = longest(low_x, high_x, low_y, high_y, low_z, high_z)
        edge = tl.div_rn(side, (tl.full((), 1, tl.int32) << depth).to(tl.float32))
        edge = tl.where(edge > 0, edge, 1.0)
    return edge


@triton.jit(do_not_specialize=["depth"])
def _extent_kernel(
    parts_ptr, extent_ptr, count, size, depth, KIND: tl.constexpr, PARTS: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    low_x, high_x = _joined(parts_ptr, row, count, 0, KIND, PARTS)
    low_y, high_y = _joined(parts_ptr, row, count, 1, KIND, PARTS)
    low_z, high_z = _joined(parts_ptr, row, count, 2, KIND, PARTS)
    edge = _edge(low_x, high_x, low_y, high_y, low_z, high_z, size, depth, KIND)
    last = (tl.full((), 1, tl.int32) << depth) - 1
    out = extent_ptr + row * 4
    tl.store(out, tl.maximum(cell_of(high_x, low_x, edge, last, KIND), 0))
    tl.store(out + 1, tl.maximum(cell_of(high_y, low_y, edge, last, KIND), 0))
    tl.store(out + 2, tl.maximum(cell_of(high_z, low_z, edge, last, KIND), 0))
    tl.store(out + 3, 0)


@triton.jit
def _codes(
    xyz_ptr, scope_ptr, point, place, mask,
    low_x, high_x, low_y, high_y, low_z, high_z, order, size, depth, start,
    KIND: tl.constexpr,
):  # fmt: skip
    """Codes of some points of a cloud with these bounds."""
    edge = _edge(low_x, high_x, low_y, high_y, low_z, high_z, size, depth, KIND)
    last = (tl.full((), 1, tl.int32) << depth) - 1
    ex = cell_of(high_x, low_x, edge, last, KIND)
    ey = cell_of(high_y, low_y, edge, last, KIND)
    ez = cell_of(high_z, low_z, edge, last, KIND)
    sx, sy, sz = ex, ey, ez
    if scope_ptr is not None:
        sx = tl.load(scope_ptr)
        sy = tl.load(scope_ptr + 1)
        sz = tl.load(scope_ptr + 2)
    x = cell_of(read(xyz_ptr, point, 0, mask, low_x, KIND), low_x, edge, last, KIND)
    y = cell_of(read(xyz_ptr, point, 1, mask, low_y, KIND), low_y, edge, last, KIND)
    z = cell_of(read(xyz_ptr, point, 2, mask, low_z, KIND), low_z, edge, last, KIND)
    return encode(x, y, z, ex, ey, ez, sx, sy, sz, place, order, depth, start)


@triton.jit(do_not_specialize=["orders", "depth", "start"])
def _code_kernel(
    xyz_ptr, offsets_ptr, parts_ptr, scope_ptr, code_ptr, key_ptr,
    N, total, count, programs, orders, size, depth, start, first_row, bits,
    KIND: tl.constexpr, PARTS: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0) // programs).to(tl.int64)
    number = tl.program_id(1)
    clouds = tl.num_programs(0) // programs
    order = ((orders >> (number * 6)) & 63).to(tl.int32)
    first, length = span(offsets_ptr, row, N)
    low_x, high_x = _joined(parts_ptr, row, count, 0, KIND, PARTS)
    low_y, high_y = _joined(parts_ptr, row, count, 1, KIND, PARTS)
    low_z, high_z = _joined(parts_ptr, row, count, 2, KIND, PARTS)
    begin = (tl.program_id(0) % programs).to(tl.int64) * BLOCK_N
    while begin < length:
        place = begin + tl.arange(0, BLOCK_N)
        mask = place < length
        code = _codes(
            xyz_ptr, scope_ptr, first + place, place, mask,
            low_x, high_x, low_y, high_y, low_z, high_z, order, size, depth, start, KIND,
        )  # fmt: skip
        out = number.to(tl.int64) * total + first + place
        tl.store(code_ptr + out, code, mask=mask)
        if key_ptr is not None:
            # Codes of values that are no coordinates may not run over into another row.
            low = code & ((tl.full((), 1, tl.int64) << bits) - 1)
            key = low + ((first_row + number * clouds + row) << bits)
            tl.store(key_ptr + out, key.to(key_ptr.dtype.element_ty), mask=mask)
        begin += BLOCK_N * programs


@triton.jit
def _invert_kernel(
    order_ptr, offsets_ptr, perm_ptr, inverse_ptr, size, total, N, clouds, steps,
    BLOCK_N: tl.constexpr,
):  # fmt: skip
    offs_n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask = offs_n < size
    point = tl.load(order_ptr + offs_n, mask=mask, other=0)
    if offsets_ptr is None:
        base = offs_n // N * N
    else:
        base = offs_n // total * total
        place = tl.where(mask, offs_n - base, 0)
        low = tl.zeros_like(offs_n)
        high = low + clouds
        for _ in range(0, steps):
            middle = (low + high) // 2
            above = tl.load(offsets_ptr + middle) <= place
            low = tl.where(above, middle, low)
            high = tl.where(above, high, middle)
        base += tl.load(offsets_ptr + low)
    tl.store(perm_ptr + offs_n, point - base, mask=mask)
    tl.store(inverse_ptr + point, offs_n - base, mask=mask)


@triton.jit(do_not_specialize=["orders", "depth", "start"])
def _small_kernel(
    xyz_ptr, offsets_ptr, scope_ptr, code_ptr, perm_ptr, inverse_ptr,
    N, total, orders, size, depth, start,
    KIND: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    number = tl.program_id(1)
    order = ((orders >> (number * 6)) & 63).to(tl.int32)
    first, length = span(offsets_ptr, row, N)
    place = tl.arange(0, BLOCK_N).to(tl.int64)
    mask = place < length
    point = first + place
    none = smallest_of_none(KIND)
    x = read(xyz_ptr, point, 0, mask, none, KIND)
    y = read(xyz_ptr, point, 1, mask, none, KIND)
    z = read(xyz_ptr, point, 2, mask, none, KIND)
    code = _codes(
        xyz_ptr, scope_ptr, point, place, mask,
        tl.min(x, axis=0), tl.max(tl.where(mask, x, -none), axis=0),
        tl.min(y, axis=0), tl.max(tl.where(mask, y, -none), axis=0),
        tl.min(z, axis=0), tl.max(tl.where(mask, z, -none), axis=0),
        order, size, depth, start, KIND,
    )  # fmt: skip
    base = number.to(tl.int64) * total + first
    tl.store(code_ptr + base + place, code, mask=mask)
    # Twelve bits of the place below 51 bits of the code; places beyond the cloud come last.
    low = ((code & 0x7FFFFFFFFFFFF) << 12) | place
    place_of = tl.sort(tl.where(mask, low, 0x7FFFFFFFFFFFFFFF)) & 4095
    if tl.max(tl.where(mask, code, 0), axis=0) >> 51 > 0:
        # The upper bits in a second stable pass, through memory that belongs to this program.
        tl.store(perm_ptr + base + place, place_of, mask=mask)
        tl.debug_barrier()
        upper = tl.load(code_ptr + base + place_of, mask=mask, other=0) >> 51
        high = tl.where(mask, (upper << 12) | place, 0x7FFFFFFFFFFFFFFF)
        moved = tl.sort(high) & 4095
        place_of = tl.load(perm_ptr + base + moved, mask=mask, other=0)
        tl.debug_barrier()
    tl.store(perm_ptr + base + place, place_of, mask=mask)
    tl.store(inverse_ptr + base + place_of, place, mask=mask)
