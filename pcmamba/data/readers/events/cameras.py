"""Cameras whose name tells the sensor and, in AEDAT 2.0, how an address is packed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcmamba.registry import unknown_name


@dataclass(frozen=True)
class Camera:
    """A sensor and the bits of its 32-bit addresses in AEDAT 2.0.

    Attributes:
        resolution_hw: H and W, pixels.
        x_bits: Lowest bit and number of bits of the column.
        y_bits: The same of the row.
        polarity_bit: Where the polarity is.
        on: Value of that bit where it became brighter.
        other_bits: An address with one of these set is no event of a pixel: frames, inertial
            readings, triggers.
        flip: Columns and rows are counted from the far corner.
    """

    resolution_hw: tuple[int, int]
    x_bits: tuple[int, int]
    y_bits: tuple[int, int]
    polarity_bit: int
    on: int
    other_bits: int
    flip: bool

    def decode(self, address: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x, y (int16) and p (uint8) of addresses (E,) uint32."""
        height, width = self.resolution_hw
        x, y = _bits(address, *self.x_bits), _bits(address, *self.y_bits)
        if self.flip:
            x, y = width - 1 - x, height - 1 - y
        bit = _bits(address, self.polarity_bit, 1).astype(np.uint8)
        return x, y, bit if self.on else 1 - bit


def _bits(address: np.ndarray, lowest: int, number: int) -> np.ndarray:
    return ((address >> np.uint32(lowest)) & np.uint32((1 << number) - 1)).astype(np.int16)


def _davis(height: int, width: int) -> Camera:
    # Bit 31: frame or inertial data; bit 10: the trigger input.
    return Camera((height, width), (12, 10), (22, 9), 11, 1, 1 << 31 | 1 << 10, True)


CAMERAS = {
    # Bit 15: the trigger input; all above are unused.
    "dvs128": Camera((128, 128), (1, 7), (8, 7), 0, 0, 0xFFFF8000, False),
    "davis240": _davis(180, 240),
    "davis346": _davis(260, 346),
}
# More sensors that AEDAT 3.1 headers name; letters behind the number are variants.
_SENSORS = {name: camera.resolution_hw for name, camera in CAMERAS.items()} | {
    "davis128": (128, 128),
    "davis208": (192, 208),
    "davis640": (480, 640),
    "dvs240": (180, 240),
    "dvs346": (260, 346),
    "dvs640": (480, 640),
}


def camera_named(name: str) -> str:
    """Return the key in `CAMERAS` of a name, in any case.

    Raises:
        ValueError: There is none.
    """
    key = name.lower()
    if key not in CAMERAS:
        raise ValueError(unknown_name("camera", name, CAMERAS))
    return key


def camera_in(text: str) -> str | None:
    """Return the known camera that a line of a header names, or None."""
    return next((name for name in CAMERAS if name in text.lower()), None)


def sensor_in(text: str) -> tuple[int, int] | None:
    """Return H and W of the camera that a line of a header names, or None."""
    return next((hw for name, hw in _SENSORS.items() if name in text.lower()), None)
