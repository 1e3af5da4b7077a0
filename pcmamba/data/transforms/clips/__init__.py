"""Augmentations of drawn clips, one file each."""

from pcmamba.data.transforms.clips.augment_clip import AugmentClip

__all__ = ["AugmentClip"]
