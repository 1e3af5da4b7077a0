from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.datasets import RadHar

# x, y, z, velocity, intensity; the last two are garbage.
POINTS = np.array(
    [
        [0.0, -1.6, -1.6, 0.0, 20.0],
        [1.61, 0.01, 0.01, 1.0, 20.0],
        [3.19, 1.59, 1.59, -1.0, 20.0],
        [9.0, 9.0, 9.0, 0.0, 20.0],
        [1.0, 0.0, 0.0, -888.0, 20.0],
        [56.0, 0.0, 0.0, 0.0, 20.0],
    ],
    np.float32,
)


def write(root, frames: int, name: str = "Train/walk/0.npz") -> None:
    frame = np.repeat(np.arange(frames), len(POINTS)).astype(np.int32)
    time = frame / 30 + np.tile(np.arange(len(POINTS)) * 1e-5, frames)
    points = np.tile(POINTS, (frames, 1))
    np.savez(root / name, points=points, frame=frame, time=time)


def test_points_become_events_in_every_panel(tmp_path):
    RadHar.make_fake(str(tmp_path))
    write(tmp_path, 61)
    train = RadHar(str(tmp_path), view="side+front+top", side=10).load("train")
    index = train.ids.index("Train/walk/0#00")
    assert sum(name.startswith("Train/walk/0#") for name in train.ids) == 1  # 61 // 60
    events = train.recording(index)
    assert train.resolution_hw == events.resolution_hw == (10, 30)
    assert len(events) == 60 * 4 * 3
    # Point by point, its three panels; up is towards row 0; beyond the range is at the border.
    assert events.x[:12].tolist() == [0, 10, 20, 5, 15, 25, 9, 19, 29, 9, 19, 29]
    assert events.y[:12].tolist() == [9, 9, 9, 4, 4, 4, 0, 0, 0, 0, 0, 0]
    assert events.p[:12].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert np.unique(events.t).tolist() == [int(np.floor(f / 30 * 1e6)) for f in range(60)]
    assert train.groups[index] == "Train/walk/0"
    said = "points left out: beyond 10 m or faster than 10 m/s"
    assert any(said in note for note in train.notes)
    moving = RadHar(str(tmp_path), view="front", side=10, polarity="moving").load("train")
    assert moving.recording(index).p[:4].tolist() == [0, 1, 1, 0]
    assert len(moving.recording(index)) == 60 * 4


def test_windows_do_not_overlap_and_the_rest_is_left_out(tmp_path):
    RadHar.make_fake(str(tmp_path))
    write(tmp_path, 180)
    train = RadHar(str(tmp_path)).load("train")
    mine = [i for i, name in enumerate(train.ids) if name.startswith("Train/walk/0#")]
    assert [train.ids[i][-2:] for i in mine] == ["00", "01", "02"]
    assert [len(train.recording(i)) for i in mine] == [60 * 4 * 2] * 3
    assert set(train.labels[mine].tolist()) == {train.class_names.index("walk")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"points": POINTS[:, :4]}, r"points must be \(n, 5\)"),
        ({"points": np.full((6, 5), np.nan)}, "must be finite"),
        ({"frame": np.arange(6)[::-1]}, "must not fall"),
        ({"time": None}, "must hold points, frame and time"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, changes, said):
    made = RadHar.make_fake(str(tmp_path))
    good = {"points": POINTS, "frame": np.arange(6), "time": np.arange(6.0)}
    content = {k: v for k, v in {**good, **changes}.items() if v is not None}
    np.savez(tmp_path / "Test" / "jump" / "2.npz", **content)
    with pytest.raises(ValueError, match=rf"jump/2\.npz.*{said}"):
        made.load("test")


def test_options_are_checked():
    with pytest.raises(ValueError, match="Did you mean 'front'"):
        RadHar(view="side+frontal")
    with pytest.raises(ValueError, match="polarity must be 'sign' or 'moving', got 'up'"):
        RadHar(polarity="up")
    with pytest.raises(ValueError, match="side must be 4 to 1024, got 2"):
        RadHar(side=2)
