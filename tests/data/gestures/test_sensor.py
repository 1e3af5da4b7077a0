"""The simulated sensor: ramps by hand, and the laws of polarity, blindness and stillness."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.events import Events
from pcmamba.data.gestures import Sensor
from pcmamba.data.gestures.crossings import awake, crossings
from pcmamba.data.shapes import Dice

IDEAL = Sensor(threshold=0.2, mismatch=0.0, refractory_us=0, noise_hz=0.0)


def ramp(levels: list[float], refractory_us: float, on: float = 0.25, off: float = 0.25):
    film = np.array(levels, np.float32)[:, None]
    times = 1000.0 * np.arange(len(levels))
    _, t, p = crossings(film, times, np.array([on]), np.array([off]), refractory_us)
    return t.tolist(), p.tolist()


def test_a_ramp_crosses_each_threshold_once() -> None:
    assert ramp([0.0, 1.0], 0) == ([250, 500, 750, 1000], [1, 1, 1, 1])
    assert ramp([0.0, -0.625], 0) == ([400, 800], [0, 0])


def test_on_and_off_have_thresholds_of_their_own() -> None:
    assert ramp([0.0, 1.0, 0.0], 0, on=0.5, off=0.25)[0] == [500, 1000, 1250, 1500, 1750, 2000]


def test_the_memory_lasts_from_picture_to_picture() -> None:
    assert ramp([0.0, 0.125, 0.125, 0.375], 0) == ([2500], [1])
    assert ramp([0.0, 0.1875, 0.0, 0.1875], 0) == ([], [])


def test_a_blind_pixel_starts_anew_where_the_level_is_then() -> None:
    # 1 in 1000 us: an event each 250 us of change, and 100 us blind after it.
    assert ramp([0.0, 1.0], 100) == ([250, 600, 950], [1, 1, 1])
    # Blind from 250 to 1500; the level has come to 0.75 by then, and falls by 1 in 1000 us.
    assert ramp([0.0, 1.0, 0.5, -0.5], 1250) == ([250, 2000], [1, 0])


def test_blindness_may_end_within_a_still_stretch() -> None:
    # The new memory is 1.0, taken at 1550, not what it was before.
    assert ramp([0.0, 1.0, 1.0, 0.5], 1300) == ([250, 2500], [1, 0])


def film(seed: int = 0, frames: int = 40) -> tuple[np.ndarray, np.ndarray]:
    steps = np.random.default_rng(seed).normal(0, 0.2, (frames, 4, 5))
    return np.cumsum(steps, axis=0).astype(np.float32), 1000.0 * np.arange(frames)


def test_polarity_is_the_sign_of_the_change() -> None:
    levels, times = film()
    events = IDEAL.sense(levels, times, Dice(0))
    assert len(events) > 200
    inside = events.t % 1000 != 0  # rounded down, a time may touch the stretch before
    segment = events.t[inside] // 1000
    rise = np.diff(levels, axis=0)[segment, events.y[inside], events.x[inside]]
    assert np.array_equal(rise > 0, events.p[inside] == 1)


def test_events_sum_to_the_change_of_level() -> None:
    levels, times = film()
    events = IDEAL.sense(levels, times, Dice(0))
    total = np.zeros((4, 5))
    np.add.at(total, (events.y, events.x), 0.2 * (2.0 * events.p - 1.0))
    assert np.abs(levels[-1] - levels[0] - total).max() <= 0.2 + 1e-6


def test_no_pixel_sends_twice_within_the_refractory_period() -> None:
    levels, times = film()
    events = Sensor(refractory_us=700, noise_hz=2000.0).sense(levels, times, Dice(0))
    assert len(events) > 200
    for pixel in range(20):
        own = events.t[(events.y * 5 + events.x) == pixel]
        assert len(own) < 2 or np.diff(own).min() >= 699  # both ends are rounded down
    kept = awake(np.array([0, 0, 1, 0]), np.array([0, 5, 5, 10]), 2, 10)
    assert kept.tolist() == [True, False, True, True]


def test_a_still_scene_is_silent() -> None:
    levels = np.tile(film()[0][:1], (50, 1, 1))
    quiet = Sensor(noise_hz=0.0).sense(levels, 1000.0 * np.arange(50), Dice(0))
    assert len(quiet) == 0


def test_noise_has_its_rate_and_both_polarities() -> None:
    still = np.zeros((2, 30, 40), np.float32)
    seconds = 2.0
    counts = []
    for key in range(50):
        events = Sensor(noise_hz=1.0).sense(still, np.array([0.0, seconds * 1e6]), Dice(key))
        counts.append(len(events))
        assert len(events) < 100 or 0.35 < events.p.mean() < 0.65
    # Rates are uniform in 0 to 1 Hz: on the mean half an event a pixel and second.
    assert abs(np.mean(counts) / (1200 * seconds) - 0.5) < 0.15


def test_pixels_differ_by_their_mismatch() -> None:
    levels = np.zeros((2, 30, 30), np.float32)
    levels[1] = 0.3
    times = np.array([0.0, 1e6])
    assert len(set(IDEAL.sense(levels, times, Dice(0)).t.tolist())) == 1
    odd = Sensor(threshold=0.2, mismatch=0.1, refractory_us=0, noise_hz=0.0)
    first = odd.sense(levels, times, Dice(0)).t / 1e6 * 0.3
    assert first.mean() == pytest.approx(0.2, abs=0.005)
    assert first.std() == pytest.approx(0.02, abs=0.002)


def test_events_are_in_order_and_have_their_types() -> None:
    levels, times = film()
    events = Sensor().sense(levels, times, Dice(1))
    assert isinstance(events, Events)
    assert (np.diff(events.t) >= 0).all()
    assert events.t.max() <= times[-1]
    order = np.lexsort((events.y * 5 + events.x, events.t))
    assert np.array_equal(order, np.arange(len(order)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold must be above 0, got 0.0"),
        ({"mismatch": 0.3}, "mismatch must be 0 to 0.25, got 0.3"),
        ({"mismatch": -0.1}, "mismatch must be 0 to 0.25, got -0.1"),
        ({"refractory_us": -1}, "refractory_us must be at least 0, got -1"),
        ({"noise_hz": -1.0}, "noise_hz must be at least 0, got -1.0"),
    ],
)
def test_documented_errors(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sensor(**options)
