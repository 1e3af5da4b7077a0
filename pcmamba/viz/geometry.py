"""A scene as Open3D geometries: clouds side by side, and the line through one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcmamba.viz.camera import Camera
from pcmamba.viz.scene import Panel, Scene

GAP = 1.15


def placed(scene: Scene) -> list[NDArray[np.float64]]:
    """Return each panel's points (N, 3), one cloud to the right of the other as seen at first."""
    right = Camera().rows()[0]
    first = scene.panels[0].points.astype(np.float64)
    width = float(np.ptp(first @ right)) or 1.0
    return [panel.points + k * GAP * width * right for k, panel in enumerate(scene.panels)]


def cloud_of(points: NDArray[np.float64], panel: Panel) -> Any:
    """Return an open3d PointCloud in the panel's colours."""
    import open3d

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    cloud.colors = open3d.utility.Vector3dVector(panel.colors / 255.0)
    return cloud


def line_of(points: NDArray[np.float64], panel: Panel) -> Any:
    """Return an open3d LineSet in the panel's order; a piece has its first point's colour."""
    import open3d

    assert panel.line is not None
    ends = np.stack([panel.line[:-1], panel.line[1:]], axis=1)
    lines = open3d.geometry.LineSet(
        open3d.utility.Vector3dVector(points),
        open3d.utility.Vector2iVector(ends.astype(np.int32)),
    )
    lines.colors = open3d.utility.Vector3dVector(panel.colors[panel.line[:-1]] / 255.0)
    return lines
