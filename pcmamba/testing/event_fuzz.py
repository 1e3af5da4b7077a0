"""Small valid recordings of every format, to be broken by `fuzz.mutate`."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pcmamba.data import Events, write_events
from pcmamba.testing import event_files

_SENSOR = (128, 128)


def sample_recordings(folder: Path) -> dict[str, list[Path]]:
    """Write small recordings of every format that we read into a folder, by extension."""
    columns = event_files.some_events(120, _SENSOR)
    events = Events.from_arrays(*columns, _SENSOR)
    files: dict[str, list[Path]] = {}

    def path(name: str) -> Path:
        files.setdefault(Path(name).suffix, []).append(folder / name)
        return folder / name

    for name in ("a.npz", "a.h5", "a.aedat4", "a.bin"):
        write_events(path(name), events)
    path("lz4.aedat4").write_bytes(_packed((folder / "a.aedat4").read_bytes()))
    _write_aedat(path, columns)
    sensor = (720, 1280)
    path("a.dat").write_bytes(event_files.dat_bytes(*columns, sensor))
    for encoding, pack in (("2.0", event_files.evt2_bytes), ("3.0", event_files.evt3_bytes)):
        header = event_files.raw_header(encoding, sensor)
        path(f"{encoding[0]}.raw").write_bytes(header + pack(*columns))
    _write_arrays(path, columns)
    return files


def _write_aedat(path: Callable[[str], Path], columns: tuple[np.ndarray, ...]) -> None:
    x, y, t, p = columns
    for camera in ("dvs128", "davis346"):
        path(f"{camera}.aedat").write_bytes(event_files.aedat2_bytes(x, y, t, p, camera))
    inertial = struct.pack("<HHIIIIII", 3, 1, 36, 4, 0, 2, 2, 2) + bytes(72)
    packets = [event_files.aedat3_packet(x[:50], y[:50], t[:50], p[:50], spare=3), inertial]
    packets.append(event_files.aedat3_packet(x[50:], y[50:], t[50:], p[50:]))
    path("packets.aedat").write_bytes(event_files.aedat3_bytes(packets))


def _write_arrays(path: Callable[[str], Path], columns: tuple[np.ndarray, ...]) -> None:
    from scipy.io import savemat

    x, y, t, p = columns
    table = np.stack([t, x, y, p], axis=1)
    np.save(path("a.npy"), table)
    np.savez_compressed(path("packed.npz"), events=table.astype(np.float64))
    _write_compound(path("compound.h5"), table)
    for name, packed in (("a.mat", False), ("packed.mat", True)):
        savemat(path(name), {"x": x, "y": y, "ts": t, "pol": p}, do_compression=packed)
    text = io.StringIO()
    np.savetxt(text, table, fmt="%d")
    path("a.txt").write_text(f"128 128\n{text.getvalue()}")
    path("a.csv").write_text("t_us,x,y,p\n" + text.getvalue().replace(" ", ","))


def _write_compound(path: Path, table: np.ndarray) -> None:
    import h5py

    rows = np.empty(len(table), [("t", "i8"), ("x", "u2"), ("y", "u2"), ("p", "i2")])
    for i, name in enumerate("txyp"):
        rows[name] = table[:, i]
    with h5py.File(path, "w") as file:
        file.create_dataset("CD/events", data=rows, chunks=(50,), compression="gzip")


def _packed(data: bytes) -> bytes:
    """Put the packets of an AEDAT 4 file into LZ4 frames, each one block of new bytes."""
    place = 18 + struct.unpack_from("<I", data, 14)[0]
    result = data[:place]
    while place < len(data):
        stream, size = struct.unpack_from("<ii", data, place)
        content = data[place + 8 : place + 8 + size]
        rest = len(content) - 15
        length = bytes([15 << 4]) + b"\xff" * (rest // 255) + bytes([rest % 255])
        block = length + content
        frame = b"\x04\x22\x4d\x18\x60\x40\x00" + struct.pack("<I", len(block)) + block + bytes(4)
        result += struct.pack("<ii", stream, len(frame)) + frame
        place += 8 + size
    return result
