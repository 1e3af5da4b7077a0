"""Augmentations, one file each."""
