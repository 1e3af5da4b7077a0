"""AEDAT 2.0: address and time, 32 bits each, as jAER writes them."""

from __future__ import annotations

import numpy as np

from pcmamba.data.readers.events.base import EventOptions, RawEvents, check_order_of_time, unwrap
from pcmamba.data.readers.events.cameras import CAMERAS, camera_in, camera_named

_WORD = np.dtype([("address", ">u4"), ("t", ">u4")])
_TURN_BITS = 32  # of the time: 71.6 minutes


def parse_aedat2(lines: list[str], body: bytes, options: EventOptions) -> RawEvents:
    """Read the events of a DVS128, DAVIS240 or DAVIS346; frames and triggers are left out.

    The camera is the one given, or named in the header, or the one that alone fits the addresses.
    DAVIS columns and rows are counted from the other corner than in the file, so that y points
    down; a DVS128's are kept, and its polarity bit is 0 where it became brighter.

    Raises:
        ValueError: Broken words, a camera that cannot be told, times in no order.
    """
    options.refuse("AEDAT 2.0", "order", "t_unit")
    if len(body) % _WORD.itemsize:
        raise ValueError(f"expected 8 bytes an event behind the header, got {len(body)} bytes")
    words = np.frombuffer(body, _WORD)
    address = words["address"].astype(np.uint32)
    name, notes = _find_camera(lines, address, options)
    camera = CAMERAS[name]
    t = words["t"].astype(np.int64)
    other = (address & np.uint32(camera.other_bits)) != 0
    if other.any():
        notes.append(f"{int(other.sum()):,} words of frames, inertial data or triggers left out")
        address, t = address[~other], t[~other]
    t, turns = unwrap(t, _TURN_BITS)
    if turns:
        notes.append(f"times ran over 2^32 us {turns} times and were carried on")
    check_order_of_time(t, "AEDAT 2.0")
    x, y, p = camera.decode(address)
    return RawEvents(x, y, t, p, camera.resolution_hw, notes)


def _find_camera(
    lines: list[str], address: np.ndarray, options: EventOptions
) -> tuple[str, list[str]]:
    if options.camera is not None:
        return camera_named(options.camera), []
    chips = [line for line in lines if "AEChip" in line or "HardwareInterface" in line]
    named = next((name for line in chips if (name := camera_in(line))), None)
    if named is not None:
        return named, []
    fitting = _fits(address)
    if fitting is None:
        raise ValueError(
            "camera must be given (camera='davis240' or 'davis346'): the header names none and "
            "the addresses fit both"
        )
    return fitting, [f"camera taken to be {fitting} from the addresses"]


def _fits(address: np.ndarray) -> str | None:
    """Tell a DVS128 by its 16-bit addresses, a DAVIS346 by columns or rows beyond a DAVIS240's."""
    pixels = address[address < 1 << 31]
    if not (pixels >> np.uint32(16)).any():
        return "dvs128"
    columns, rows = (pixels >> np.uint32(12)) & np.uint32(1023), pixels >> np.uint32(22)
    return "davis346" if (columns >= 240).any() or (rows >= 180).any() else None
