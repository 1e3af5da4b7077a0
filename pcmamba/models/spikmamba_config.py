"""The architecture choices of SpikMamba."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pcmamba.models.clip_preprocessing import Representation
from pcmamba.nn import Scan
from pcmamba.ops._surrogate import Surrogate

if TYPE_CHECKING:
    from pcmamba.models.spikmamba import SpikMamba

LongClips = Literal["restart", "wrap", "resize"]

REPRESENTATIONS: dict[int, Representation] = {3: "drawn", 2: "histogram", 1: "voxel"}


@dataclass(frozen=True)
class SpikMambaConfig:
    """Architecture of one SpikMamba.

    Attributes:
        num_classes: Outputs.
        in_channels: 3 for drawn frames, 2 for histograms or surfaces of both polarities, 1 for
            voxel grids.
        num_frames: T, frames of a clip.
        image_hw: Rows and columns of a frame, pixels.
        patch: Side of a token, pixels.
        channels: C of a token.
        heads: Heads of the attention.
        depth: Blocks.
        ffn_ratio: Hidden width of the feed-forward part, in units of C.
        window: Side of an attention window in tokens; None takes the whole frame.
        rope: Rotary positions in the attention.
        lepe: Depthwise convolution beside the attention.
        v_proj: Projection of the values.
        attention: Have the attention; without it the mixer reads the block's input.
        mamba: Have the mixer.
        order: Order of the scan's sequence, see `pcmamba.nn.grid_order`, or one for each block.
        scan: "bi", "frame" or "forward", see `pcmamba.nn.SpikingMamba`. "bi" cannot be streamed.
        state_size: States per channel of the scans.
        conv_width: Taps of their convolutions.
        expand: Inner width of the mixer, in units of C.
        neuron: "lif", or "relu" for the same network without spikes.
        tau: Time constant of the neurons, frames.
        v_threshold: Membrane that fires.
        v_reset: Membrane after a spike; None subtracts the threshold.
        decay_input: Divide currents by `tau`.
        detach_reset: No gradient through the reset.
        surrogate: Derivative that stands for the step's.
        alpha: Steepness of the surrogate, or None for its default.
        lif_norm: "bn" normalises the currents of every layer of neurons, "none" does not.
        final_norm: Normalise the tokens before the head.
        drop_path: Rate of stochastic depth of the last block, rising from 0.
        long_clips: What happens after T frames: "restart" neurons, scans and positions as in
            separate clips, "wrap" the positions alone, or "resize" the T positions to all frames.
    """

    num_classes: int = 11
    in_channels: int = 3
    num_frames: int = 8
    image_hw: tuple[int, int] = (128, 128)
    patch: int = 8
    channels: int = 256
    heads: int = 8
    depth: int = 2
    ffn_ratio: int = 4
    window: int | None = None
    rope: bool = True
    lepe: bool = True
    v_proj: bool = False
    attention: bool = True
    mamba: bool = True
    order: str | tuple[str, ...] = "raster"
    scan: Scan = "bi"
    state_size: int = 16
    conv_width: int = 4
    expand: int = 2
    neuron: Literal["lif", "relu"] = "lif"
    tau: float = 2.0
    v_threshold: float = 1.0
    v_reset: float | None = 0.0
    decay_input: bool = True
    detach_reset: bool = True
    surrogate: Surrogate = "sigmoid"
    alpha: float | None = None
    lif_norm: Literal["bn", "none"] = "bn"
    final_norm: bool = True
    drop_path: float = 0.1
    long_clips: LongClips = "restart"

    def __post_init__(self) -> None:
        for name, known in (
            ("scan", get_args(Scan)),
            ("neuron", ("lif", "relu")),
            ("lif_norm", ("bn", "none")),
            ("long_clips", get_args(LongClips)),
        ):
            if getattr(self, name) not in known:
                listed = ", ".join(known[:-1]) + f" or {known[-1]}"
                raise ValueError(f"{name} must be {listed}, got {getattr(self, name)!r}")
        for name in ("num_frames", "patch", "depth", "channels", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.in_channels not in REPRESENTATIONS:
            raise ValueError(f"in_channels must be 1, 2 or 3, got {self.in_channels}")
        if not self.attention and not self.mamba:
            raise ValueError("attention or mamba must be on, got neither")
        if not isinstance(self.order, str) and len(self.order) != self.depth:
            raise ValueError(
                f"order must be one name or {self.depth}, one for each block, got {self.order}"
            )
        if self.scan == "bi" and self.long_clips == "wrap":
            raise ValueError(
                "long_clips must be 'restart' or 'resize' with scan='bi', got 'wrap': "
                "no state goes on after a backward scan"
            )

    @property
    def grid_hw(self) -> tuple[int, int]:
        """Rows and columns of tokens of a frame."""
        height, width = self.image_hw
        return math.ceil(height / self.patch), math.ceil(width / self.patch)

    @property
    def orders(self) -> tuple[str, ...]:
        """The order of each block."""
        return (self.order,) * self.depth if isinstance(self.order, str) else self.order

    def build(self) -> SpikMamba:
        """Make the model with fresh weights."""
        from pcmamba.models.spikmamba import SpikMamba

        return SpikMamba(self)
