"""An event sensor: each pixel tells when the log of its intensity has changed enough.

Between two pictures the log intensity L of a pixel is taken to be linear in time. A pixel keeps the
level M of its last reset. When L reaches M + C_on (or M - C_off), it sends an event of polarity 1
(or 0), is blind for the refractory period, and takes the L at the period's end as its new M. Each
pixel has thresholds of its own. Noise events of either polarity come at random moments, and of
all events those within the refractory period of the pixel's last one are left out.

Source: Rebecq, Gehrig, Scaramuzza, ESIM: an Open Event Camera Simulator (2018), for events from
pictures; Hu, Liu, Delbruck, v2e: From Video Frames to Realistic DVS Events (2021), for threshold
mismatch, the refractory period and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcmamba.data.events import Events
from pcmamba.data.shapes.dice import Array, Dice

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Sensor:
    """How good the sensor is.

    Attributes:
        threshold: Change of the log intensity that makes an event.
        mismatch: Standard deviation of the pixels' thresholds, as a share of `threshold`.
        refractory_us: Microseconds that a pixel is blind after an event.
        noise_hz: Most noise events of a pixel in a second; each recording draws its rate.

    Raises:
        ValueError: A number is negative, `threshold` is 0 or `mismatch` above 0.25.
    """

    threshold: float = 0.2
    mismatch: float = 0.05
    refractory_us: int = 1000
    noise_hz: float = 0.2

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise ValueError(f"threshold must be above 0, got {self.threshold}")
        # The nearly normal draw is at most 3.5 in size: no threshold may reach 0.
        if not 0 <= self.mismatch <= 0.25:
            raise ValueError(f"mismatch must be 0 to 0.25, got {self.mismatch}")
        for name in ("refractory_us", "noise_hz"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")

    def sense(self, levels: NDArray[np.float32], times_us: Array, dice: Dice) -> Events:
        """Record a film.

        Args:
            levels: (F, H, W) float32 log intensities, at least one picture.
            times_us: (F,) float64 microseconds of the pictures, rising.
            dice: Where thresholds and noise come from.

        Returns:
            Events with whole microseconds since time 0, rounded down; those of one microsecond are
            in order of rows and columns.
        """
        from pcmamba.data.gestures.crossings import awake, crossings

        count, height, width = levels.shape
        on, off = self.threshold * (1.0 + self.mismatch * dice.bells(2, height * width))
        film = levels.reshape(count, height * width)
        pixel, t, p = crossings(film, times_us, on, off, float(self.refractory_us))
        duration = float(times_us[-1] - times_us[0])
        noise = self._noise(height * width, float(times_us[0]), duration, dice)
        pixel, t, p = (np.concatenate(pair) for pair in zip((pixel, t, p), noise, strict=True))
        order = np.lexsort((pixel, t))
        pixel, t, p = pixel[order], t[order], p[order]
        if len(noise[0]):
            kept = awake(pixel, t, height * width, self.refractory_us)
            pixel, t, p = pixel[kept], t[kept], p[kept]
        x, y = (pixel % width).astype(np.int16), (pixel // width).astype(np.int16)
        return Events(x, y, t, p.astype(np.uint8), (height, width))

    def _noise(
        self, pixels: int, start: float, duration: float, dice: Dice
    ) -> tuple[Integers, Integers, Integers]:
        """Draw noise events; their number is the expected one, rounded up or down by chance."""
        expected = dice.uniform(0.0, self.noise_hz) * pixels * duration * 1e-6
        count = int(expected + dice.uniform(0.0, 1.0))
        place, moment, sign = dice.uniforms(3, count)
        t = np.floor(start + moment * duration).astype(np.int64)
        return (place * pixels).astype(np.int64), t, (sign < 0.5).astype(np.int64)
