from __future__ import annotations

import pytest

from pcmamba.viz.line_chart import HEIGHT, WIDTH, Line, line_chart, nice_ticks


@pytest.mark.parametrize(
    ("low", "high", "most", "wanted"),
    [
        (0.0, 1.0, 5, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (3.0, 97.0, 5, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
        (0.0021, 0.0029, 5, [0.002, 0.0022, 0.0024, 0.0026, 0.0028, 0.003]),
        (5.0, 5.0, 5, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        (0.0, 0.0, 2, [-0.5, 0.0, 0.5]),
    ],
)
def test_ticks_are_round_and_enclose(low, high, most, wanted):
    assert nice_ticks(low, high, most) == pytest.approx(wanted)


def test_larger_is_higher_and_later_is_further_right():
    chart = line_chart("loss", [Line("a", ((1, 2.0), (2, 1.0), (3, 4.0))), Line("b", ())])
    assert chart.names == ("a",)
    [dots] = chart.dots
    assert dots[0].x < dots[1].x < dots[2].x
    assert dots[2].y < dots[0].y < dots[1].y, "y grows downwards in a drawing"
    assert all(0 <= dot.x <= WIDTH and 0 <= dot.y <= HEIGHT for dot in dots)
    assert [tick.text for tick in chart.x_ticks] == ["1", "2", "3"], "no half epochs"
    assert dots[0].text == "a, epoch 1: 2"


def test_a_point_of_a_tick_lies_on_it():
    chart = line_chart("accuracy", [Line("a", ((1, 0.0), (2, 1.0)))], percent=True)
    places = {tick.text: tick.place for tick in chart.y_ticks}
    assert chart.dots[0][0].y == places["0 %"]
    assert chart.dots[0][1].y == places["100 %"]


def test_one_epoch_and_none():
    chart = line_chart("loss", [Line("a", ((1, 2.0),))])
    assert len(chart.dots[0]) == 1
    assert line_chart("loss", [Line("a", ())]) is None
