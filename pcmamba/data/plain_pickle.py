"""Pickles that circulate as data sets, read without running anything that they ask for."""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

_LARGEST = 8 << 30  # bytes of a file
_MOST_VALUES = 1 << 31


def load_plain_pickle(path: Path) -> Any:
    """Read a pickle of NumPy arrays, lists, tuples, dicts, numbers and strings.

    The file names no function that is called but our own copies of what rebuilds an array: those
    check sizes against the bytes at hand and refuse objects. Nothing is imported.

    Raises:
        ValueError: Anything else is in it, or it is broken; the file is named.
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"path must be an existing pickle, got {path}")
    if path.stat().st_size > _LARGEST:
        raise ValueError(
            f"{path} must have at most {_LARGEST:,} bytes, got {path.stat().st_size:,}"
        )
    data = path.read_bytes()
    try:
        _check_opcodes(data)
        return _Plainer(len(data))(_Unpickler(io.BytesIO(data), encoding="latin1").load())
    except MemoryError:
        raise
    except Exception as error:  # a broken pickle makes the unpickler raise almost anything
        raise ValueError(f"{path} must be a pickle of plain arrays, got {error}") from None


class _Array:
    """An array under construction: filled by the state that follows, never by code."""

    def __init__(self) -> None:
        self.values: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        version, shape, dtype, fortran, body = state
        if version != 1 or not isinstance(dtype, _Dtype) or not isinstance(body, bytes | str):
            raise ValueError("an array with a state of another kind")
        self.values = _from_bytes(body, dtype, shape, bool(fortran))


class _Dtype:
    """A type of numbers, by its name alone."""

    def __init__(self, name: str, *_: Any) -> None:
        self.type = np.dtype(str(name))
        if self.type.kind not in "fiub" or self.type.names is not None:
            raise ValueError(f"arrays of {self.type}, which are no numbers")

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
            raise ValueError("a type with fields")
        self.type = self.type.newbyteorder(order)


def _from_bytes(body: bytes | str, dtype: _Dtype, shape: Any, fortran: bool) -> np.ndarray:
    data = body.encode("latin1") if isinstance(body, str) else body
    if not all(type(n) is int and 0 <= n <= _MOST_VALUES for n in shape) or len(shape) > 8:
        raise ValueError(f"an array of shape {shape}")
    size = dtype.type.itemsize
    for length in shape:
        size *= length
    if size != len(data):
        raise ValueError(f"{len(data)} bytes for an array of {size}")
    values = np.frombuffer(data, dtype.type)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _frombuffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.values = _from_bytes(bytes(buffer), dtype, shape, order == "F")
    return array


def _scalar(dtype: _Dtype, body: bytes | str) -> Any:
    return _from_bytes(body, dtype, (1,), False)[0].item()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


class _NdArray:
    """Stands for the class `numpy.ndarray`, which is named and never made."""


_ALLOWED: dict[tuple[str, str], Any] = {
    **dict.fromkeys(
        [(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")], _reconstruct
    ),
    **dict.fromkeys(
        [(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")], _frombuffer
    ),
    **dict.fromkeys(
        [(f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")], _scalar
    ),
    ("numpy", "ndarray"): _NdArray,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is None:
            raise ValueError(f"{module}.{name}, which could run code")
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("a reference to something outside the file")


def _check_opcodes(data: bytes) -> None:
    """Walk through the pickle without running it: lengths must lie within it."""
    for opcode, argument, position in pickletools.genops(data):
        if opcode.name in ("LONG_BINPUT", "PUT") and int(argument or 0) > len(data):
            raise ValueError(f"a place {argument} beyond the file at byte {position}")
        if opcode.name in ("EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"):
            raise ValueError(f"{opcode.name} at byte {position}, which could run code")


class _Plainer:
    """Puts arrays in place of what was built for them, in a number of steps that is bounded."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, value: Any) -> Any:
        # A list that holds another one twice, which does so too, … would take for ever.
        self.steps -= 1
        if self.steps < 0:
            raise ValueError("the same lists over and over")
        if isinstance(value, _Array):
            if value.values is None:
                raise ValueError("an array without values")
            return value.values
        if isinstance(value, list | tuple):
            return type(value)(self(part) for part in value)
        if isinstance(value, dict):
            return {key: self(part) for key, part in value.items()}
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return value
        raise ValueError(f"a {type(value).__name__}")
