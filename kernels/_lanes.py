"""Sixteen float32 numbers as one value in compiled loops: load, store, arithmetic, exp.

The compiler turns a value into the widest vector registers that the machine has. Loops over
arrays leave that to an analysis that gives up when many arrays are read and written at once, and
the library's exp is a call per number. Numba's cache looks at the file of a loop alone: after a
change here, touch the files of the loops as well.
"""

from __future__ import annotations

import operator

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 16

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)


class LanesType(types.Type):
    """Numba's name for sixteen float32 numbers."""

    def __init__(self):
        super().__init__(name="float32x16")


lanes = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _FLOATS)


def _pointer(context, builder, array_type, array, index):
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def load(typing_context, array, index):
    """Read array[index : index + 16] of a contiguous float32 array of one axis."""

    def generate(context, builder, signature, args):
        start = _pointer(context, builder, signature.args[0], *args)
        return builder.load(builder.bitcast(start, _FLOATS.as_pointer()), align=4)

    return lanes(array, types.int64), generate


@intrinsic
def store(typing_context, array, index, value):
    """Write `value` to array[index : index + 16]."""

    def generate(context, builder, signature, args):
        start = _pointer(context, builder, signature.args[0], *args[:2])
        builder.store(args[2], builder.bitcast(start, _FLOATS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), generate


def _splat(builder, scalar):
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), scalar, ir.IntType(32)(0))
    zeros = ir.Constant(_INTS, [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), zeros)


@intrinsic
def splat(typing_context, scalar):
    """Repeat one number."""

    def generate(context, builder, signature, args):
        return _splat(builder, args[0])

    return lanes(types.float32), generate


@intrinsic
def splat_at(typing_context, array, index):
    """Repeat array[index]."""

    def generate(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], *args)
        return _splat(builder, builder.load(pointer, align=4))

    return lanes(array, types.int64), generate


def _binary(name):
    @intrinsic
    def apply(typing_context, left, right):
        def generate(context, builder, signature, args):
            return getattr(builder, name)(*args)

        return lanes(lanes, lanes), generate

    return apply


_add, _sub, _mul, _div = (_binary(name) for name in ("fadd", "fsub", "fmul", "fdiv"))


def _overload(symbol, apply):
    @overload(symbol)
    def choose(left, right):
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
