"""Pictures of events: one colour a polarity, black where both fired, on white.

(c0, c1, c2) = clip(255 - n1 (0, 255, 255) - n0 (255, 255, 0), 0, 255) / 255

with n1 positive and n0 negative events of a pixel, so that one event is as good as many.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pcmamba.ops._events import check_choice

Background = Literal["white", "black"]


def draw_events(histogram: Tensor, background: Background = "white") -> Tensor:
    """Draw counts of events as three channels.

    Args:
        histogram: (..., 2, H, W) events of each polarity (0 negative, 1 positive) and pixel, as
            `event_histogram` counts them.
        background: "white" draws pixels without events as 1; "black" is one minus that picture.

    Returns:
        (..., 3, H, W) float32, 0 or 1: negative events clear channels 0 and 1, positive ones
        channels 1 and 2.

    Raises:
        ValueError: `histogram` has not two channels before its sides, or `background` is unknown.

    Source: Zhou et al., ExACT (CVPR 2024), whose frames are OpenCV pictures in the order BGR.
    """
    if histogram.dim() < 3 or histogram.shape[-3] != 2:
        raise ValueError(f"histogram must be (..., 2, H, W), got {tuple(histogram.shape)}")
    check_choice("background", background, Background)
    negative, positive = (histogram > 0).unbind(-3)
    fired = torch.stack([negative, negative | positive, positive], -3)
    return (fired if background == "black" else ~fired).float()
