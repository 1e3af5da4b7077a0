"""Sixteen float32 numbers as one value in compiled loops: load, store, arithmetic, exp.

The compiler turns a value into the widest vector registers that the machine has. Loops over
arrays leave that to an analysis that gives up when many arrays are read and written at once, and
the library's exp is a call per number. Numba's cache looks at the file of a loop alone: after a
change here, touch the files of the loops as well.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 16

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_BYTES = ir.VectorType(ir.IntType(8), LANES)


class LanesType(types.Type):
    """Numba's name for sixteen float32 numbers."""

    def __init__(self) -> None:
        super().__init__(name="float32x16")


lanes = LanesType()


def _instruction(define: Any) -> Any:
    return intrinsic(define)


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@_instruction
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """Read array[index : index + 16] of a contiguous float32 array of one axis."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = _pointer(context, builder, signature.args[0], *args)
        return builder.load(builder.bitcast(start, _FLOATS.as_pointer()), align=4)

    return lanes(array, types.int64), generate


@_instruction
def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write `value` to array[index : index + 16]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = _pointer(context, builder, signature.args[0], *args[:2])
        builder.store(args[2], builder.bitcast(start, _FLOATS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), generate


def _splat(builder: Any, scalar: Any) -> Any:
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), scalar, ir.IntType(32)(0))
    zeros = ir.Constant(_INTS, [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), zeros)


@_instruction
def splat(typing_context: Any, scalar: Any) -> Any:
    """Repeat one number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0])

    return lanes(types.float32), generate


@_instruction
def splat_at(typing_context: Any, array: Any, index: Any) -> Any:
    """Repeat array[index]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *args)
        return _splat(builder, builder.load(pointer, align=4))

    return lanes(array, types.int64), generate


def _binary(name: Any) -> Any:
    @_instruction
    def apply(typing_context: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args)

        return lanes(lanes, lanes), generate

    return apply


_add, _sub, _mul, _div = (_binary(name) for name in ("fadd", "fsub", "fmul", "fdiv"))


def _overload(symbol: Any, apply: Any) -> Any:
    @overload(symbol)
    def choose(left, right):  # type: ignore[no-untyped-def]  # numba wants the lambda's signature
        if isinstance(left, LanesType) and isinstance(right, LanesType):
            return lambda left, right: apply(left, right)
        return None


for _symbol, _apply in (
    (operator.add, _add),
    (operator.sub, _sub),
    (operator.mul, _mul),
    (operator.truediv, _div),
):
    _overload(_symbol, _apply)


def _intrinsic_call(builder: Any, name: Any, result: Any, args: Any) -> Any:
    signature = ir.FunctionType(result, [arg.type for arg in args])
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    return builder.call(function, args)


@_instruction
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Compute a b + c, rounded once where the machine can."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _intrinsic_call(builder, f"llvm.fmuladd.v{LANES}f32", _FLOATS, args)

    return lanes(lanes, lanes, lanes), generate


def _choose(comparison: Any) -> Any:
    @_instruction
    def apply(typing_context: Any, value: Any, bound: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            beyond = builder.fcmp_ordered(comparison, *args)
            return builder.select(beyond, args[1], args[0])

        return lanes(lanes, lanes), generate

    return apply


at_least, at_most = _choose("<"), _choose(">")  # a NaN stays one


@_instruction
def magnitude(typing_context: Any, value: Any) -> Any:
    """Absolute value."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _intrinsic_call(builder, f"llvm.fabs.v{LANES}f32", _FLOATS, args)

    return lanes(lanes), generate


@_instruction
def where_negative(typing_context: Any, value: Any, then: Any, otherwise: Any) -> Any:
    """`then` where `value` is below 0, else `otherwise`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        negative = builder.fcmp_ordered("<", args[0], ir.Constant(_FLOATS, [0.0] * LANES))
        return builder.select(negative, args[1], args[2])

    return lanes(lanes, lanes, lanes), generate


@_instruction
def where_greater(typing_context: Any, value: Any, best: Any, then: Any, otherwise: Any) -> Any:
    """`then` where `value` exceeds `best` or is the first NaN of the two, else `otherwise`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        beyond = builder.fcmp_unordered(">", args[0], args[1])
        ordered = builder.fcmp_ordered("ord", args[1], args[1])
        return builder.select(builder.and_(beyond, ordered), args[2], args[3])

    return lanes(lanes, lanes, lanes, lanes), generate


@_instruction
def where_equal(typing_context: Any, left: Any, right: Any, then: Any, otherwise: Any) -> Any:
    """`then` where `left` equals `right`, else `otherwise`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("==", args[0], args[1]), args[2], args[3])

    return lanes(lanes, lanes, lanes, lanes), generate


@_instruction
def load_bytes(typing_context: Any, array: Any, index: Any) -> Any:
    """Read array[index : index + 16] of a contiguous uint8 array as numbers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = _pointer(context, builder, signature.args[0], *args)
        return builder.uitofp(
            builder.load(builder.bitcast(start, _BYTES.as_pointer()), align=1), _FLOATS
        )

    return lanes(array, types.int64), generate


@_instruction
def store_bytes(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write whole numbers from 0 to 255 to array[index : index + 16], a uint8 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = _pointer(context, builder, signature.args[0], *args[:2])
        small = builder.trunc(builder.fptosi(args[2], _INTS), _BYTES)
        builder.store(small, builder.bitcast(start, _BYTES.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), generate


@_instruction
def _shift_exponent(typing_context: Any, value: Any, shifted: Any) -> Any:
    """Multiply by 2^k, k in the low bits of `shifted` = k + 1.5 * 2^23."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, k = (builder.bitcast(arg, _INTS) for arg in args)
        exponent = builder.shl(k, ir.Constant(_INTS, [23] * LANES))
        return builder.bitcast(builder.add(bits, exponent), _FLOATS)

    return lanes(lanes, lanes), generate


@_instruction
def total(typing_context: Any, value: Any) -> Any:
    """Sum of the sixteen numbers, halves first."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        part, width = args[0], LANES
        while width > 1:
            width //= 2
            undefined = ir.Constant(part.type, ir.Undefined)
            indices = ir.VectorType(ir.IntType(32), width)
            low = ir.Constant(indices, list(range(width)))
            high = ir.Constant(indices, list(range(width, 2 * width)))
            part = builder.fadd(
                builder.shuffle_vector(part, undefined, low),
                builder.shuffle_vector(part, undefined, high),
            )
        return builder.extract_element(part, ir.IntType(32)(0))

    return types.float32(lanes), generate


_F = np.float32
_ROUND = _F(1.5 * 2.0**23)  # adding it leaves the nearest integer in the low bits
_LOW, _HIGH = _F(-126.0), _F(128.0)
_LOG2E = _F(1.4426950408889634)
_LOG2E_REST = _F(1.4426950408889634 - float(_LOG2E))
_ONE, _TWO, _MINUS = _F(1.0), _F(2.0), _F(-1.0)
# 2^f = 1 + f P(f) for |f| <= 1/2, relative error 2e-9
_P = tuple(
    _F(c)
    for c in (0.693147182, 0.240226477, 0.0555033237, 0.00961843692, 0.00133988739, 0.00015353362)
)
# atanh(s) / s = 1 + q Q(q), q = s^2 <= 1/9, relative error 5e-9
_Q = tuple(_F(c) for c in (0.333332092, 0.200107634, 0.140009031, 0.140059933))


@njit(error_model="numpy")
def _raise_two(shifted: Any, fraction: Any) -> Any:
    p = fma(splat(_P[5]), fraction, splat(_P[4]))
    p = fma(p, fraction, splat(_P[3]))
    p = fma(p, fraction, splat(_P[2]))
    p = fma(p, fraction, splat(_P[1]))
    p = fma(p, fraction, splat(_P[0]))
    return _shift_exponent(fma(p, fraction, splat(_ONE)), shifted)


@njit(error_model="numpy")
def exp2(x: Any) -> Any:
    """2^x within 1e-7; 2^-126 below -126, infinity from 128 on, NaN stays."""
    x = at_most(at_least(x, splat(_LOW)), splat(_HIGH))
    shifted = x + splat(_ROUND)
    return _raise_two(shifted, x - (shifted - splat(_ROUND)))


@njit(error_model="numpy")
def _exp_minus(x: Any) -> Any:
    """e^-x for x >= 0 within 2e-7, also where x log2(e) would lose digits."""
    x = splat(_MINUS) * at_most(x, splat(_F(87.0)))
    shifted = fma(x, splat(_LOG2E), splat(_ROUND))
    fraction = fma(x, splat(_LOG2E), splat(_ROUND) - shifted)
    return _raise_two(shifted, fma(x, splat(_LOG2E_REST), fraction))


@njit(error_model="numpy")
def softplus(v: Any) -> Any:
    """log(1 + e^v)."""
    w = _exp_minus(magnitude(v))
    s = w / (splat(_TWO) + w)  # log(1 + w) = 2 atanh(s)
    q = s * s
    g = fma(fma(fma(splat(_Q[3]), q, splat(_Q[2])), q, splat(_Q[1])), q, splat(_Q[0]))
    return at_least(v, splat(_F(0.0))) + splat(_TWO) * fma(s * q, g, s)


@njit(error_model="numpy")
def sigmoid(v: Any) -> Any:
    """1 / (1 + e^-v)."""
    w = _exp_minus(magnitude(v))
    return where_negative(v, w, splat(_ONE)) / (splat(_ONE) + w)
