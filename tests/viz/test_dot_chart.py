from __future__ import annotations

import pytest

from pcmamba.viz.dot_chart import LEFT, RIGHT, Row, Value, dot_charts


def row(*values):
    return Row("r", tuple(Value("ours", v, f"{v}") for v in values))


def test_equal_ratios_are_equally_far_apart_in_every_group():
    a, b = dot_charts([("a", [row(0.01, 0.1)]), ("b", [row(1.0), row(10.0)])], "ms")
    (m0, m1), (m2,), (m3,) = (r.marks for chart in (a, b) for r in chart.rows)
    assert m1.x - m0.x == pytest.approx(m3.x - m2.x, abs=0.2)
    assert m2.x - m1.x == pytest.approx(m1.x - m0.x, abs=0.2)
    assert m0.x >= LEFT
    assert m3.x <= RIGHT
    assert [tick.text for tick in a.ticks] == ["0.01 ms", "0.1 ms", "1 ms", "10 ms"]
    assert {tick.text: tick.place for tick in a.ticks}["1 ms"] == m2.x


def test_rows_lie_inside_their_drawing():
    [chart] = dot_charts([("a", [row(1.0), row(2.0)])], "ms")
    assert 0 < chart.rows[0].y < chart.rows[1].y < chart.height


def test_what_has_no_logarithm_is_refused():
    with pytest.raises(ValueError, match="values must be positive on a logarithmic axis, got 0"):
        dot_charts([("a", [row(0.0)])], "ms")


def test_nothing_measured():
    [chart] = dot_charts([("a", [Row("r", (), "failed", False)])], "ms")
    assert chart.rows[0].remark == "failed"
