"""SpikMamba: spiking window attention and a spiking Mamba mixer over the frames of an event clip.

Paper: SpikMamba (2024), arXiv 2410.16746. Built from its figure: no released file equals it and no
weights are published, so there is no `reference` option. Ours, where the figure is silent: layer
normalisation before each branch, batch normalisation over channels before every layer of neurons,
rotary and convolutional positions, a last normalisation, and the scans that run online.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcmamba.models.classifier import ClipClassifier
from pcmamba.models.clip_preprocessing import ClipPreprocessing
from pcmamba.models.registry import MODELS
from pcmamba.models.spikmamba_config import REPRESENTATIONS, LongClips, SpikMambaConfig
from pcmamba.nn import (
    LIF,
    AttentionState,
    DropPath,
    MixerState,
    Neuron,
    NormNeuron,
    Rectifier,
    ScanDirection,
    SpikingLinearAttention,
    SpikingMamba,
)
from pcmamba.ops._check import check_shapes


class BlockState(NamedTuple):
    """What the frames so far leave behind in a block: of its attention, and of its mixer."""

    attention: AttentionState | None
    mixer: MixerState | None


class SpikMambaState(NamedTuple):
    """What the frames so far leave behind in a model; its size does not grow with their number.

    Attributes:
        frames: How many.
        pooled: (B, C) float64 sum over the frames of their mean tokens.
        patches: (B, N, C) membranes of the patch embedding, or None without neurons.
        blocks: One state for each block.
    """

    frames: int
    pooled: Tensor
    patches: Tensor | None
    blocks: tuple[BlockState, ...]


class SpikMambaBlock(nn.Module):
    """Attention and mixer around one shortcut, the feed-forward part around another.

    Args:
        config: The whole model's configuration.
        order: Order of the mixer.
        drop_path: Rate of stochastic depth, one draw a clip.
    """

    def __init__(self, config: SpikMambaConfig, order: str, drop_path: float) -> None:
        super().__init__()
        width, hidden = config.channels, config.ffn_ratio * config.channels
        self.norm1 = nn.LayerNorm(width, eps=1e-5)
        self.attention = _attention(config) if config.attention else None
        self.mixer = _mixer(config, order) if config.mamba else None
        self.norm2 = nn.LayerNorm(width, eps=1e-5)
        self.ffn = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.drop_path = DropPath(drop_path, axis=1)

    def forward(
        self, x: Tensor, grid_hw: tuple[int, int], first: int, state: BlockState | None
    ) -> tuple[Tensor, BlockState]:
        """Map tokens (T, B, N, C) of the frames from `first` on to the same shape."""
        before = state or BlockState(None, None)
        y, attention, mixer = self.norm1(x), None, None
        if self.attention is not None:
            y, attention = self.attention(y, grid_hw, before.attention)
        if self.mixer is not None:
            y, mixer = self.mixer(y, grid_hw, first, before.mixer)
        x = x + self.drop_path(y)
        return x + self.drop_path(self.ffn(self.norm2(x))), BlockState(attention, mixer)


class SpikMamba(ClipClassifier):
    """SpikMamba for classification of event clips.

    Every call without a state starts a clip: no membrane outlives it. In evaluation a clip's
    result does not depend on the other clips of a batch.

    Args:
        config: The architecture.

    Source: SpikMamba (arXiv 2410.16746), figure 2.
    """

    config: SpikMambaConfig

    def __init__(self, config: SpikMambaConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels
        self.patches = nn.Linear(config.in_channels * config.patch**2, width, bias=False)
        self.patch_fire = NormNeuron(width, _neuron(config)(), config.lif_norm)
        rows, columns = config.grid_hw
        self.pos_space = nn.Parameter(torch.empty(1, 1, rows * columns, width))
        self.pos_time = nn.Parameter(torch.zeros(config.num_frames, 1, 1, width))
        nn.init.trunc_normal_(self.pos_space, std=0.02)
        last = max(config.depth - 1, 1)
        rates = (config.drop_path * i / last for i in range(config.depth))
        self.blocks = nn.ModuleList(
            SpikMambaBlock(config, order, rate)
            for order, rate in zip(config.orders, rates, strict=True)
        )
        self.norm = nn.LayerNorm(width, eps=1e-5) if config.final_norm else nn.Identity()
        self.head = nn.Linear(width, config.num_classes)
        if config.lif_norm == "bn":  # without it smaller weights would silence the neurons
            _start(self)

    def forward(
        self,
        frames: Tensor,
        state: SpikMambaState | None = None,
        return_state: bool = False,
    ) -> Any:
        """Map clips to logits.

        Args:
            frames: (B, T, channels, H, W) float frames. More than `num_frames` of them go on as
                `long_clips` says.
            state: What earlier frames of these clips left, or None at the start.
            return_state: Return the state after these frames too.

        Returns:
            (B, num_classes) logits of all frames so far and, if asked for, the state.

        Raises:
            ValueError: Shapes do not fit the model, or the state is of another batch.
            NotImplementedError: A state is asked for that the scan or its order cannot carry.
        """
        if state is not None or return_state:
            self.check_online()
        x, patches, blocks = self._run(frames, state)
        pooled, seen = _pooled(x), len(x)
        if state is not None:
            pooled, seen = state.pooled + pooled, state.frames + seen
        logits = self.head((pooled / seen).to(x.dtype))
        return (logits, SpikMambaState(seen, pooled, patches, blocks)) if return_state else logits

    def forward_features(self, frames: Tensor) -> Tensor:
        """Map clips (B, T, channels, H, W) to normalised tokens (T, B, N, C)."""
        return self._run(frames, None)[0]

    def forward_head(self, x: Tensor) -> Tensor:
        """Map tokens (T, B, N, C) to logits (B, num_classes)."""
        return self.head((_pooled(x) / len(x)).to(x.dtype))

    def default_preprocessing(self) -> ClipPreprocessing:
        """Return clips of the frames, the size and the channels that the configuration says."""
        config = self.config
        return ClipPreprocessing(
            num_frames=config.num_frames,
            representation=REPRESENTATIONS[config.in_channels],
            size_hw=config.image_hw,
            patch_size=config.patch,
        )

    def check_online(self) -> None:
        """Check that clips can be given frame by frame.

        Raises:
            NotImplementedError: A scan needs later frames, an order mixes frames, or positions
                are resized to all frames.
        """
        if self.config.long_clips == "resize":
            raise NotImplementedError(
                "long_clips must be 'restart' or 'wrap' to carry a state from frame to frame, "
                "got 'resize': it needs the number of frames"
            )
        for block in self.blocks:
            assert isinstance(block, SpikMambaBlock)
            if block.mixer is not None:
                block.mixer.check_online()

    def no_weight_decay(self) -> set[str]:
        """Return positions and decay rates of the scans."""
        ends = ("A_log", "pos_space", "pos_time")
        return {name for name, _ in self.named_parameters() if name.endswith(ends)}

    def _run(
        self, frames: Tensor, state: SpikMambaState | None
    ) -> tuple[Tensor, Tensor | None, tuple[BlockState, ...]]:
        """Return the tokens (T, B, N, C), the patches' membranes and the blocks' states."""
        x, grid_hw = self._cut(frames)
        self._check_state(x, state)
        currents = self.patches(x)
        place, length = (0 if state is None else state.frames), self.config.num_frames
        patches = None if state is None else state.patches
        blocks = None if state is None else state.blocks
        parts = []
        for begin, end, first in _clips(place, len(x), length, self.config.long_clips):
            if first == 0 and self.config.long_clips == "restart":
                patches, blocks = None, None
            spikes, patches = self.patch_fire(currents[begin:end], patches)
            tokens = spikes + self._space(grid_hw) + self._time(first, end - begin)
            tokens, blocks = self._blocks(tokens, grid_hw, first, blocks)
            parts.append(self.norm(tokens))
        assert blocks is not None
        return (parts[0] if len(parts) == 1 else torch.cat(parts)), patches, blocks

    def _blocks(
        self,
        x: Tensor,
        grid_hw: tuple[int, int],
        first: int,
        before: tuple[BlockState, ...] | None,
    ) -> tuple[Tensor, tuple[BlockState, ...]]:
        after = []
        for i, block in enumerate(self.blocks):
            x, state = block(x, grid_hw, first, None if before is None else before[i])
            after.append(state)
        return x, tuple(after)

    def _cut(self, frames: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Cut frames (B, T, channels, H, W) into patches (T, B, N, channels p p), row by row."""
        config, side = self.config, self.config.patch
        check_shapes(frames=(frames, f"B T {config.in_channels} H W"))
        batch, count, channels, height, width = frames.shape
        if not frames.numel():
            raise ValueError(f"frames must not be empty, got {tuple(frames.shape)}")
        if height % side or width % side:
            raise ValueError(
                f"frames must have sides that are multiples of {side}, got {height} x {width}: "
                "pad them with the value of a pixel without events, as ClipPreprocessing does"
            )
        rows, columns = height // side, width // side
        cut = frames.reshape(batch, count, channels, rows, side, columns, side)
        cut = cut.permute(1, 0, 3, 5, 2, 4, 6)
        return cut.reshape(count, batch, rows * columns, -1), (rows, columns)

    def _check_state(self, x: Tensor, state: SpikMambaState | None) -> None:
        if state is None:
            return
        batch, tokens = x.shape[1:3]
        if len(state.pooled) != batch:
            raise ValueError(f"state must be of {batch} clips, as frames, got {len(state.pooled)}")
        if state.patches is not None and state.patches.shape[1] != tokens:
            raise ValueError(
                f"state must be of frames with {tokens} tokens, got {state.patches.shape[1]}"
            )

    def _space(self, grid_hw: tuple[int, int]) -> Tensor:
        """Return the positions on the map (1, 1, N, C), resized if it is another one."""
        if grid_hw == self.config.grid_hw:
            return self.pos_space
        maps = self.pos_space[0].unflatten(1, self.config.grid_hw).permute(0, 3, 1, 2)
        maps = F.interpolate(maps, grid_hw, mode="bicubic", align_corners=False)
        return maps.flatten(2).transpose(1, 2)[None]

    def _time(self, first: int, count: int) -> Tensor:
        """Return the positions (count, 1, 1, C) of frames in their clip."""
        if self.config.long_clips != "resize" or count == len(self.pos_time):
            return self.pos_time[first : first + count]
        steps = self.pos_time[:, 0, 0].t()[None]
        resized = F.interpolate(steps, count, mode="linear", align_corners=False)
        return resized[0].t()[:, None, None]


def _pooled(x: Tensor) -> Tensor:
    """Sum the mean tokens of frames (T, B, N, C), in float64: no matter how they come in parts."""
    return x.mean(dim=2).double().sum(dim=0)


def _clips(
    place: int, count: int, length: int, long_clips: LongClips
) -> Iterator[tuple[int, int, int]]:
    """Cut `count` frames, the first of them frame `place`, where clips of `length` end.

    Yields begin and end among these frames, and the begin's place in its clip.
    """
    if long_clips == "resize":
        yield 0, count, 0
        return
    begin = 0
    while begin < count:
        first = (place + begin) % length
        end = min(count, begin + length - first)
        yield begin, end, first
        begin = end


def _neuron(config: SpikMambaConfig) -> Callable[[], Neuron | Rectifier]:
    if config.neuron == "relu":
        return Rectifier
    return functools.partial(
        LIF,
        config.tau,
        decay_input=config.decay_input,
        v_threshold=config.v_threshold,
        v_reset=config.v_reset,
        detach_reset=config.detach_reset,
        surrogate=config.surrogate,
        alpha=config.alpha,
    )


def _attention(config: SpikMambaConfig) -> SpikingLinearAttention:
    return SpikingLinearAttention(
        config.channels,
        config.heads,
        config.grid_hw,
        window=config.window,
        rope=config.rope,
        lepe=config.lepe,
        v_proj=config.v_proj,
        neuron=_neuron(config),
        norm=config.lif_norm,
    )


def _mixer(config: SpikMambaConfig, order: str) -> SpikingMamba:
    return SpikingMamba(
        config.channels,
        (config.num_frames, *config.grid_hw),
        order=order,
        scan=config.scan,
        state_size=config.state_size,
        conv_width=config.conv_width,
        expand=config.expand,
        neuron=_neuron(config),
        norm=config.lif_norm,
    )


@torch.no_grad()
def _start(model: SpikMamba) -> None:
    """Draw the weights of linear layers, but of the scans and the patches, which keep theirs.

    The deviation keeps the size of what passes. With a fixed 0.02 the currents of narrow models
    vanish beside the epsilon of the batch normalisation, and no neuron behind the attention fires.
    """
    scans = [m for m in model.modules() if isinstance(m, ScanDirection)]
    kept = {id(layer) for scan in scans for layer in scan.modules()} | {id(model.patches)}
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and id(layer) not in kept:
            nn.init.trunc_normal_(layer.weight, std=layer.in_features**-0.5)
            if layer.bias is not None:
                layer.bias.zero_()


@MODELS.register("spikmamba")
def spikmamba() -> SpikMambaConfig:
    """SpikMamba of the paper's figure."""
    return SpikMambaConfig()


@MODELS.register("spikmamba_small")
def spikmamba_small() -> SpikMambaConfig:
    """Our small SpikMamba: trains on CPU cores."""
    return SpikMambaConfig(
        image_hw=(64, 64), channels=64, heads=4, ffn_ratio=2, state_size=8, expand=1
    )
