"""h5 and mat: the layouts in use, units, offsets, filters, hostile files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io

from pcmamba.data import ReadError, read_events
from pcmamba.testing.event_files import some_events

X, Y, T, P = some_events(400, (20, 30))
COLUMNS = dict(zip("xytp", (X, Y, T, P), strict=True))
ROWS = np.empty(400, [("x", "u2"), ("y", "u2"), ("p", "i2"), ("t", "i8")])
for _name in "xytp":
    ROWS[_name] = COLUMNS[_name]


def assert_same(events):
    for name, column in COLUMNS.items():
        assert (getattr(events, name) == column).all(), name


def write(path, arrays, attrs=()):
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            file[key] = value
        for key, value in dict(attrs).items():
            place, _, name = key.rpartition("@")
            file[place or "/"].attrs[name] = value
    return path


LAYOUTS = {
    "group": {f"events/{name}": COLUMNS[name] for name in "xytp"},
    "top": COLUMNS,
    "other names": {"xs": X, "ys": Y, "ts": T / 1e6, "ps": P * 2 - 1},
    "compound": {"CD/events": ROWS},
    "table": {"events": np.stack([T, X, Y, P], axis=1).astype(np.uint32)},
    "deep": {f"prophesee/left/{name}": COLUMNS[name] for name in "xytp"},
}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_layouts(layout, tmp_path):
    assert_same(read_events(write(tmp_path / "a.h5", LAYOUTS[layout])))


def test_chunks_of_any_shape(tmp_path):
    table = np.stack([X, Y, T, P], axis=1)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("events", data=table, chunks=(70, 3), compression="gzip")
    assert_same(read_events(tmp_path / "a.hdf5", order="xytp"))


def test_dsec_offset_and_index(tmp_path):
    index = np.searchsorted(T, np.arange(0, 301) * 1000)
    arrays = LAYOUTS["group"] | {"t_offset": 50_000_000_000, "ms_to_idx": index}
    events = read_events(write(tmp_path / "a.h5", arrays))
    assert_same(events)
    assert events.t0 == 50_000_000_000
    assert not any("ms_to_idx" in note or "taken to be in" in note for note in events.notes)
    arrays["ms_to_idx"] = index[::-1]
    assert (
        "ms_to_idx does not fit the times and was not used"
        in read_events(write(tmp_path / "b.h5", arrays)).notes
    )


def test_one_of_several_cameras_is_taken_and_the_other_noted(tmp_path):
    other = {f"davis/right/{name}": COLUMNS[name][:5] for name in "xytp"}
    arrays = {f"davis/left/{name}": COLUMNS[name] for name in "xytp"} | other
    events = read_events(write(tmp_path / "a.h5", arrays))
    assert_same(events)
    assert "left out the events in '/davis/right'" in events.notes


@pytest.mark.parametrize(
    "attrs",
    [
        {"@resolution_hw": (260, 346)},
        {"@geometry": "346x260"},
        {"events@height": 260, "events@width": np.array([346])},
    ],
)
def test_attributes_tell_the_sensor(attrs, tmp_path):
    path = write(tmp_path / "a.h5", LAYOUTS["group"], attrs)
    assert read_events(path).resolution_hw == (260, 346)


def test_a_filter_that_is_missing_is_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, column in COLUMNS.items():
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((100,))
            plist.set_filter(36559, h5py.h5z.FLAG_OPTIONAL, ())
            space = h5py.h5s.create_simple(column.shape)
            h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_INT64, space, plist)
    with pytest.raises(ImportError, match="packed by ECF, which needs hdf5plugin: pip install"):
        read_events(tmp_path / "a.h5")


def test_links_are_not_followed_and_what_is_announced_not_taken(tmp_path):
    write(tmp_path / "a.h5", LAYOUTS["group"])
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["events"] = h5py.ExternalLink("a.h5", "events")
        file["loop"] = h5py.SoftLink("/")
        file.create_group("ring")["again"] = file
    with pytest.raises(ReadError, match=r"expected arrays x, y, t, p in one group.*events, loop"):
        read_events(tmp_path / "b.h5")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        for name in "xytp":
            file.create_dataset(name, shape=(10**11,), dtype="i8", chunks=(1000,))
    with pytest.raises(ReadError, match="must take at most"):
        read_events(tmp_path / "c.h5")
    (tmp_path / "d.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(ReadError, match="expected a whole HDF5 file"):
        read_events(tmp_path / "d.h5")


def test_mat_columns_rows_and_tables(tmp_path):
    names = {"x": X[:, None], "y": Y[:, None], "ts": T[:, None], "pol": P[None]}
    scipy.io.savemat(tmp_path / "a.mat", names, do_compression=True)
    scipy.io.savemat(tmp_path / "b.mat", {"events": np.stack([X, Y, T, P], axis=1)})
    write(tmp_path / "h5.h5", LAYOUTS["top"])
    version_7 = b"MATLAB 7.3 MAT-file".ljust(512, b"\0") + (tmp_path / "h5.h5").read_bytes()
    (tmp_path / "c.mat").write_bytes(version_7)
    for name in ("a.mat", "b.mat", "c.mat"):
        assert_same(read_events(tmp_path / name))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"x": X, "y": Y}, "got no t and no p among x, y"),
        ({**COLUMNS, "x": np.zeros((20, 20))}, "x must be one column"),
        ({**COLUMNS, "x": "abc"}, "got no x among y, t, p"),
        ({**COLUMNS, "x": {"a": 1}}, "got no x among y, t, p"),
        ({**COLUMNS, "x": X + 1j}, "got no x among y, t, p"),
    ],
)
def test_other_variables_are_refused(variables, said, tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", variables)
    with pytest.raises(ReadError, match=said):
        read_events(tmp_path / "a.mat")


def test_what_is_no_mat_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", COLUMNS)
    data = (tmp_path / "a.mat").read_bytes()
    for content in (data[:200], b"MATLAB 5.0 MAT-file" + bytes(200), b"abc" * 100):
        (tmp_path / "b.mat").write_bytes(content)
        with pytest.raises(ReadError, match=r"b\.mat: "):
            read_events(tmp_path / "b.mat")
