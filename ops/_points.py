"""What the ops on coordinates share: precision, finiteness, offsets."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops._check import check_offsets
from pcmamba.ops._sequences import check_floats, check_index


def working_points(**named: Tensor) -> list[Tensor]:
    """Return the coordinates in the precision of the arithmetic: float32, or float64 as it is.

    Raises:
        TypeError: A tensor is not floating point, or the dtypes mix float64 with others.
        ValueError: The tensors lie on several devices.
    """
    check_floats(**named)
    first_name, first = next(iter(named.items()))
    for name, tensor in named.items():
        if tensor.device != first.device:
            raise ValueError(
                f"{name} must be on {first.device} with {first_name}, got {tensor.device}"
            )
        if (tensor.dtype == torch.float64) != (first.dtype == torch.float64):
            raise TypeError(
                f"{name} must have the dtype of {first_name}, {first.dtype}, "
                f"got {tensor.dtype}; convert one of them with .to()"
            )
    return [t if t.dtype == torch.float64 else t.float() for t in named.values()]


def check_finite(**named: Tensor) -> None:
    """Refuse coordinates that are NaN or infinite. Reads the values only on the CPU.

    Raises:
        ValueError: A coordinate is not finite.
    """
    for name, tensor in named.items():
        if tensor.device.type != "cpu" or bool(tensor.isfinite().all()):
            continue
        row = (~tensor.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"{name} must be finite, got {float(tensor[tuple(row)])} at {row}; "
            "drop such points first"
        )


def check_point_offsets(**named: tuple[Tensor, Tensor]) -> None:
    """Check the offsets (B + 1,) of each ragged batch against its rows.

    Raises:
        TypeError: Offsets are not int64.
        ValueError: Not one axis, or (CPU) not rising from 0 to the number of rows.
    """
    for name, (offsets, rows) in named.items():
        check_index(**{name: offsets})
        check_offsets(offsets, len(rows))
