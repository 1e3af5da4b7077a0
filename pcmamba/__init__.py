"""3D perception on point clouds and event cameras with state-space models."""

__version__ = "0.1.0"
