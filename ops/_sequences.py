"""What the ops over sequences share: dense and ragged batches, dtypes, permutations."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops._check import check_offsets
from pcmamba.ops._impl import resolve_impl

MOST_NVRTC_STATES = 64


def check_floats(**named: Tensor | None) -> None:
    """Check that every tensor is real floating point.

    Raises:
        TypeError: One is not.
    """
    for name, tensor in named.items():
        if tensor is not None and not tensor.is_floating_point():
            raise TypeError(f"{name} must be real floating point, got {tensor.dtype}")


def working_dtype(*tensors: Tensor | None) -> torch.dtype:
    """Return float64 if any tensor is float64, else float32."""
    doubles = any(t is not None and t.dtype == torch.float64 for t in tensors)
    return torch.float64 if doubles else torch.float32


def resolve_sequence_impl(
    impl: str,
    leading: Tensor,
    *others: Tensor | None,
    available: tuple[str, ...] = ("cpu", "triton"),
    prefer_nvrtc: bool = False,
) -> str:
    """Choose the implementation by device; float64 anywhere means the reference.

    The keywords are those of `resolve_impl`.

    Raises:
        TypeError: `impl` names a kernel and a tensor is float64.
    """
    doubles = working_dtype(leading, *others) == torch.float64
    if doubles and impl == "auto":
        return "reference"
    chosen = resolve_impl(impl, leading, available, prefer_nvrtc=prefer_nvrtc)
    if doubles and chosen != "reference":
        raise TypeError(
            f"impl={impl!r} must get float16, bfloat16 or float32, got float64; "
            "impl='reference' or 'auto' takes it"
        )
    return chosen


def resolve_scan_impl(impl: str, leading: Tensor, *others: Tensor | None, states: int) -> str:
    """Choose the implementation of a scan of `states` states a channel.

    Raises:
        NotImplementedError: "nvrtc" is asked for more states than its kernels hold.
        TypeError: `impl` names a kernel and a tensor is float64.
    """
    chosen = resolve_sequence_impl(
        impl,
        leading,
        *others,
        available=("cpu", "triton", "nvrtc"),
        prefer_nvrtc=0 < states <= MOST_NVRTC_STATES,
    )
    if chosen == "nvrtc" and states > MOST_NVRTC_STATES:
        raise NotImplementedError(
            f"A must have at most {MOST_NVRTC_STATES} states for impl='nvrtc', got {states}; "
            "impl='triton' takes more"
        )
    return chosen


def check_sequence_values(rows: int, offsets: Tensor, perm: Tensor | None = None) -> None:
    """Check the values of `offsets` and `perm` (T,) on the CPU; a GPU would have to wait.

    Raises:
        ValueError: `offsets` do not rise from 0 to `rows`, or `perm` is no permutation of each
            sequence's rows.
    """
    check_offsets(offsets, rows)
    if perm is None or perm.device.type != "cpu" or rows == 0:
        return
    lengths = offsets.diff()
    begin, length = offsets[:-1].repeat_interleave(lengths), lengths.repeat_interleave(lengths)
    outside = (perm < 0) | (perm >= length)
    if bool(outside.any()):
        row = int(outside.nonzero()[0])
        raise ValueError(
            f"perm must hold rows 0 to {int(length[row]) - 1} of its sequence, got {int(perm[row])}"
        )
    missing = torch.ones(rows, dtype=torch.bool).scatter(0, begin + perm, False)
    if bool(missing.any()):
        row = int(missing.nonzero()[0])
        raise ValueError(
            f"perm must hold each row of its sequence once, got no {row - int(begin[row])}"
        )


def check_index(**named: Tensor | None) -> None:
    """Check that every tensor is int64.

    Raises:
        TypeError: One is not.
    """
    for name, tensor in named.items():
        if tensor is not None and tensor.dtype != torch.int64:
            raise TypeError(f"{name} must be int64, got {tensor.dtype}")


def dense_offsets(batch: int, length: int, device: torch.device) -> Tensor:
    """Return the offsets (B + 1,) of a dense batch whose rows lie one after another."""
    if length == 0:
        return torch.zeros(batch + 1, dtype=torch.int64, device=device)
    return torch.arange(0, batch * length + 1, length, device=device)


def flatten_rows(tensor: Tensor | None) -> Tensor | None:
    """View (B, L, ...) as (B L, ...), copying only where the strides force it."""
    return None if tensor is None else tensor.flatten(0, 1)


def unit_stride(*tensors: Tensor | None) -> list[Tensor | None]:
    """Copy the tensors whose last axis is not contiguous."""
    return [t if t is None or t.stride(-1) == 1 else t.contiguous() for t in tensors]


def row_order(x: Tensor, perm: Tensor, offsets: Tensor | None) -> Tensor:
    """Return perm (B, L) or (T,) as rows (T,) of the flattened tensor."""
    if offsets is None:
        offsets = dense_offsets(x.shape[0], x.shape[1], x.device)
    flat = perm.flatten()
    if not torch.compiler.is_compiling():
        check_sequence_values(len(flat), offsets, flat)
    return flat + offsets[:-1].repeat_interleave(offsets.diff(), output_size=len(flat))


def take_rows(tensor: Tensor, order: Tensor | None) -> Tensor:
    """Gather rows (T,) of a tensor whose leading axes are flattened for it."""
    if order is None:
        return tensor
    return tensor.reshape(-1, tensor.shape[-1]).index_select(0, order).view(tensor.shape)


def put_rows(tensor: Tensor, order: Tensor | None) -> Tensor:
    """Undo `take_rows`."""
    if order is None:
        return tensor
    rows = tensor.reshape(-1, tensor.shape[-1])
    return torch.zeros_like(rows).index_copy(0, order, rows).view(tensor.shape)
