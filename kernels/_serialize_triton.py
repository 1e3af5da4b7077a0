"""Device helpers of serialization: bounds of a cloud, its cells, and the code of an order."""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import triton
import triton.language as tl

MAX_DEPTH = tl.constexpr(20)
SIZED = tl.constexpr(0)  # floating point, cells of one size
CUBED = tl.constexpr(1)  # floating point, 2**depth cells along the longest side
CELLS = tl.constexpr(2)  # integers, cells already


@triton.jit
def span(offsets_ptr, row, N):
    """First point of a cloud and the number of its points."""
    first = row * N
    length = N + first * 0
    if offsets_ptr is not None:
        first = tl.load(offsets_ptr + row)
        length = tl.load(offsets_ptr + row + 1) - first
    return first, length


@triton.jit
def read(xyz_ptr, point, axis, mask, other, KIND: tl.constexpr):
    """One coordinate of some points, in the type of the arithmetic."""
    value = tl.load(xyz_ptr + point * 3 + axis, mask=mask, other=0)
    value = value.to(tl.int64) if KIND == CELLS else value.to(tl.float32)
    return tl.where(mask, value, other)


@triton.jit
def smallest_of_none(KIND: tl.constexpr):
    """Neutral element of the minimum."""
    if KIND == CELLS:
        value = tl.full((), 0x7FFFFFFFFFFFFFFF, tl.int64)
    else:
        value = tl.full((), float("inf"), tl.float32)
    return value


@triton.jit
def longest(low_x, high_x, low_y, high_y, low_z, high_z):
    """Longest side of a cloud."""
    return tl.maximum(tl.maximum(high_x - low_x, high_y - low_y), high_z - low_z)


@triton.jit
def cell_of(value, low, size, last, KIND: tl.constexpr):
    """Cells int32 counted from the smallest of the cloud; division rounds as in IEEE 754.

    `size` is the edge of a cell; a cube's last cell is `last`.
    """
    if KIND == CELLS:
        cell = (value - low).to(tl.int32)
    elif KIND == SIZED:
        edge = size + tl.zeros_like(value)
        origin = tl.floor(tl.div_rn(low + tl.zeros_like(value), edge)).to(tl.int32)
        cell = tl.floor(tl.div_rn(value, edge)).to(tl.int32) - origin
    else:
        edge = size + tl.zeros_like(value)
        cell = tl.minimum(tl.floor(tl.div_rn(value - low, edge)).to(tl.int32), last)
    return cell


@triton.jit
def pick(axis, x, y, z):
    """One of three by a number that is the same for all lanes."""
    return tl.where(axis == 0, x, tl.where(axis == 1, y, z))


@triton.jit
def bit_length(largest):
    """Bits of a number, at most MAX_DEPTH."""
    bits = tl.sum(((largest >> tl.arange(0, 32)) > 0).to(tl.int32), axis=0)
    return tl.minimum(bits, MAX_DEPTH)


@triton.jit
def _spread(value):
    """Move bit i of a number of up to 21 bits to bit 3i."""
    value = value.to(tl.int64)
    value = (value | value << 32) & 0x1F00000000FFFF
    value = (value | value << 16) & 0x1F0000FF0000FF
    value = (value | value << 8) & 0x100F00F00F00F00F
    value = (value | value << 4) & 0x10C30C30C30C30C3
    return (value | value << 2) & 0x1249249249249249


@triton.jit
def _interleave(a, b, c):
    return _spread(a) << 2 | _spread(b) << 1 | _spread(c)


@triton.jit
def _snake(c1, c2, c3, w1, w2):
    w1 = w1.to(tl.int64)
    sheet = w1 * w2
    row = tl.where((c2 & 1) == 0, c1.to(tl.int64), w1 - 1 - c1)
    place = c2 * w1 + row
    return c3 * sheet + tl.where((c3 & 1) == 0, place, sheet - 1 - place)


@triton.jit
def _hilbert(a, b, c, bits):
    for step in range(0, bits):
        bit = bits - 1 - step
        low = (1 << bit) - 1
        a ^= -((a >> bit) & 1) & low
        invert = -((b >> bit) & 1) & low
        differ = (a ^ b) & (low ^ invert)
        a ^= differ ^ invert
        b ^= differ
        invert = -((c >> bit) & 1) & low
        differ = (a ^ c) & (low ^ invert)
        a ^= differ ^ invert
        c ^= differ
    code = _interleave(a, b, c)
    code ^= code >> 1  # Gray code to binary: running xor from the top
    code ^= code >> 2
    code ^= code >> 4
    code ^= code >> 8
    code ^= code >> 16
    return code ^ (code >> 32)


@triton.jit
def _shift_right(word, COUNT: tl.constexpr):
    """Shift in zeros from the top."""
    return (word >> COUNT) & ((1 << (64 - COUNT)) - 1)


@triton.jit
def _scatter(place, start):
    """Hash of a place, 63 bits: the finalizer of splitmix64 on words that wrap around."""
    word = (place + 1) * -7046029254386353131 + start
    word = (word ^ _shift_right(word, 30)) * -4658895280553007687
    word = (word ^ _shift_right(word, 27)) * -7723592293110705685
    return (word ^ _shift_right(word, 31)) & 0x7FFFFFFFFFFFFFFF


@triton.jit
def encode(x, y, z, ex, ey, ez, sx, sy, sz, place, order, depth, start):
    """Code int64 of each cell along an order: six times its kind plus the number of its axes.

    `ex, ey, ez` are the largest cells of the cloud and `sx, sy, sz` those in scope, `depth` the
    bits of an axis or 0, `start` the first word of the hash.
    """
    kind = order // 6
    axes = order % 6
    a1 = axes // 2
    # xyz xzy yxz yzx zxy zyx: the second axis is the smaller of the other two in the even ones.
    lower = tl.where(a1 == 0, 1, 0)
    upper = tl.where(a1 == 2, 1, 2)
    a2 = tl.where(axes % 2 == 0, lower, upper)
    a3 = 3 - a1 - a2
    c1 = pick(a1, x, y, z)
    c2 = pick(a2, x, y, z)
    c3 = pick(a3, x, y, z)
    e1 = pick(a1, ex, ey, ez)
    code = place
    if kind == 0:
        code = _snake(c1, c2, c3, e1 + 1, pick(a2, ex, ey, ez) + 1)
    elif kind == 1:
        odd = (pick(a2, sx, sy, sz) ^ pick(a3, sx, sy, sz)) & 1
        code = tl.where(odd == 0, c1, e1 - c1).to(tl.int64)
    elif kind == 2:
        code = _interleave(c1, c2, c3)
    elif kind == 3:
        bits = bit_length(tl.maximum(tl.maximum(sx, sy), sz))
        code = _hilbert(c1, c2, c3, tl.where(depth > 0, depth, bits))
    elif kind == 4:
        bits = tl.where(depth > 0, depth, MAX_DEPTH)
        code = (z.to(tl.int64) << 2 * bits) | (y.to(tl.int64) << bits) | x
    else:
        code = _scatter(place, start)
    return code
