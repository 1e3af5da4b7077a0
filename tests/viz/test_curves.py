from __future__ import annotations

import matplotlib.image

from pcmamba.viz.curves import save_curves_png

ROWS = [
    {"epoch": "1", "train/loss": "2.0", "val/loss": "", "lr": "0.1"},
    {"epoch": "2", "train/loss": "1.0", "val/loss": "1.5", "lr": "0.2"},
]


def test_lines_are_drawn_and_empty_entries_left_out(tmp_path):
    save_curves_png(tmp_path / "a.png", ROWS)
    save_curves_png(tmp_path / "b.png", [{**row, "val/loss": ""} for row in ROWS])
    a, b = (matplotlib.image.imread(tmp_path / f"{name}.png") for name in "ab")
    assert a.shape[1] > 1500
    assert a.shape != b.shape or (a != b).any()


def test_no_rows_give_empty_panels(tmp_path):
    save_curves_png(tmp_path / "a.png", [])
    assert (tmp_path / "a.png").is_file()
