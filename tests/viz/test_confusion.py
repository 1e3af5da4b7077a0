from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest

from pcmamba.viz.confusion import save_confusion_png


@pytest.mark.parametrize("classes", [2, 40])
def test_picture_grows_with_the_classes(tmp_path, classes):
    names = [f"class {i}" for i in range(classes)]
    save_confusion_png(tmp_path / "a.png", np.eye(classes, dtype=int) * 9, names)
    height, width, _ = matplotlib.image.imread(tmp_path / "a.png").shape
    # At least 40 dots for a row, so that its name can be read.
    assert min(height, width) >= max(500, 40 * classes)


def test_the_diagonal_is_dark(tmp_path):
    save_confusion_png(tmp_path / "a.png", [[5, 0], [0, 5]], ["a", "b"])
    picture = matplotlib.image.imread(tmp_path / "a.png")[..., :3]
    blue = (picture[..., 2] > picture[..., 0] + 0.2).nonzero()
    assert np.corrcoef(*blue)[0, 1] > 0.5, "from the upper left to the lower right"


def test_a_class_without_clouds_is_drawn(tmp_path):
    save_confusion_png(tmp_path / "a.png", [[0, 0], [1, 3]], ["a", "b"])
    assert (tmp_path / "a.png").is_file()


def test_wrong_shape_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"confusion must be \(2, 2\) for 2 classes, got \(1, 2\)"):
        save_confusion_png(tmp_path / "a.png", [[1, 2]], ["a", "b"])
