from __future__ import annotations

import html
import re

import numpy as np
import pytest
import torch

from pcmamba.viz import show

POINTS = np.random.default_rng(0).normal(size=(50, 4))


def test_one_call_gives_a_frame_with_the_whole_page(tmp_path):
    figure = show(torch.from_numpy(POINTS), torch.arange(50) % 2, names=["leg", "top"], title="<b>")
    framed = figure._repr_html_()
    inside = html.unescape(re.fullmatch(r'<iframe srcdoc="([^"]*)".*</iframe>', framed)[1])
    assert inside == figure.content
    assert '"mode":"part"' in inside
    assert '"leg"' in inside
    figure.save(tmp_path / "new" / "a.html")
    assert (tmp_path / "new" / "a.html").read_text() == figure.content


def test_colourings_and_mistakes():
    assert '"mode":"height"' in show(POINTS).content
    assert '"order":"z"' in show(POINTS, color="sequence", order="z").content
    assert '"mode":"error"' in show(POINTS, [0] * 50, predicted=[1] * 50, color="error").content
    with pytest.raises(ValueError, match=r"points must be \(N, 3\), got \(50, 2\)"):
        show(POINTS[:, :2])
    with pytest.raises(ValueError, match=r"labels must have shape \(50,\), got \(3,\)"):
        show(POINTS, [1, 2, 3])
