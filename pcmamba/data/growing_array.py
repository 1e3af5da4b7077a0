"""An npy file that is written piece by piece."""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np


class GrowingArray:
    """Write a one-dimensional npy file whose length is known only at the end.

    Use it with `with`: the header is written when the block ends without an error.

    Args:
        path: The file.
        dtype: Of its entries.
    """

    def __init__(self, path: Path, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self._size = 0
        self._file = path.open("wb")
        self._file.write(bytes(len(self._header(0))))

    def append(self, values: np.ndarray) -> None:
        """Add entries (n,).

        Raises:
            ValueError: They are of another dtype or not one column.
        """
        if values.dtype != self.dtype or values.ndim != 1:
            raise ValueError(
                f"values must be one column of {self.dtype}, got {values.dtype} {values.shape}"
            )
        self._file.write(np.ascontiguousarray(values).tobytes())
        self._size += len(values)

    def __enter__(self) -> GrowingArray:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._file.seek(0)
                self._file.write(self._header(self._size))
        finally:
            self._file.close()

    def _header(self, size: int) -> bytes:
        buffer = io.BytesIO()
        # Padded to whole lines of 64 bytes with room for a longer shape, so its size is the same.
        entries = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (size,),
        }
        np.lib.format.write_array_header_1_0(buffer, entries)
        return buffer.getvalue()
