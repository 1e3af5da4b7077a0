from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.growing_array import GrowingArray


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_pieces_make_one_array(tmp_path, dtype):
    pieces = [np.arange(n).astype(dtype) for n in (0, 3, 100_000)]
    with GrowingArray(tmp_path / "a.npy", dtype) as array:
        for piece in pieces:
            array.append(piece)
    loaded = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert loaded.dtype == dtype and (loaded == np.concatenate(pieces)).all()


def test_the_header_has_room_for_any_length(tmp_path):
    array = GrowingArray(tmp_path / "a.npy", np.int16)
    assert len({len(array._header(10**digits)) for digits in range(15)}) == 1


def test_what_does_not_fit_or_end_is_no_array(tmp_path):
    with (
        pytest.raises(ValueError, match="values must be one column of int16, got int64"),
        GrowingArray(tmp_path / "a.npy", np.int16) as array,
    ):
        array.append(np.arange(3))
    with pytest.raises(ValueError, match=r"magic|not allowed|Cannot load|pickled"):
        np.load(tmp_path / "a.npy")
