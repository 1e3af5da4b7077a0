"""Shape checks whose letters bind across arguments."""

from __future__ import annotations

from torch import Tensor


def check_shapes(**named: tuple[Tensor | None, str]) -> dict[str, int]:
    """Check every tensor against its shape in letters and return what the letters stand for.

    A letter has one size across all arguments; a number stands for itself; None is skipped.

    Example:
        `check_shapes(u=(u, "B L D"), A=(A, "D S"))` returns `{"B": 2, "L": 64, "D": 8, "S": 4}`.

    Raises:
        ValueError: `<argument> must be (<shape>), got <sizes>`.
    """
    sizes: dict[str, int] = {}
    owner: dict[str, str] = {}
    for name, (tensor, shape) in named.items():
        if tensor is not None:
            _bind(name, tensor, shape.split(), sizes, owner)
    return sizes


def _bind(
    name: str, tensor: Tensor, letters: list[str], sizes: dict[str, int], owner: dict[str, str]
) -> None:
    shape = f"({', '.join(letters)})"
    if tensor.dim() != len(letters):
        raise ValueError(f"{name} must be {shape}, got {tuple(tensor.shape)}")
    for letter, size in zip(letters, tensor.shape, strict=True):
        wanted = int(letter) if letter.isdigit() else sizes.setdefault(letter, size)
        owner.setdefault(letter, name)
        if size != wanted:
            source = "" if letter.isdigit() else f" with {letter} = {wanted} from {owner[letter]}"
            raise ValueError(f"{name} must be {shape}{source}, got {tuple(tensor.shape)}")


def check_offsets(offsets: Tensor, total: int) -> None:
    """Check a ragged batch's `offsets` (B + 1,) against the `total` number of rows.

    Reads the values only on the CPU: on a GPU the check would make the host wait.

    Raises:
        ValueError: Not one axis, not int64, or (CPU) not rising from 0 to `total`.
    """
    if offsets.dim() != 1 or offsets.dtype.is_floating_point or len(offsets) < 1:
        raise ValueError(f"offsets must be int64 (B + 1,), got {tuple(offsets.shape)}")
    if offsets.device.type == "cpu" and (
        int(offsets[0]) != 0 or int(offsets[-1]) != total or bool((offsets.diff() < 0).any())
    ):
        raise ValueError(f"offsets must rise from 0 to {total}, got {offsets.tolist()}")
