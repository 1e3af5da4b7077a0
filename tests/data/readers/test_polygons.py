from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.readers.polygons import check_corners, fan


def test_polygons_of_any_length_by_hand():
    corners = np.array([9, 5, 6, 7, 8, 1, 2, 3, 4, 0, 2])
    lengths = np.array([1, 5, 3, 0, 2])
    assert fan(corners, lengths).tolist() == [[5, 6, 7], [5, 7, 8], [5, 8, 1], [2, 3, 4]]


def test_no_polygons():
    assert fan(np.array([], np.int64), np.array([], np.int64)).shape == (0, 3)


def test_corners_must_exist():
    check_corners(np.array([[0, 1, 2]]), 3)
    with pytest.raises(ValueError, match="must be in 0 … 2, got -1 to 1"):
        check_corners(np.array([[0, -1, 1]]), 3)
