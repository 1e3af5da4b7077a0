"""Points on the surface of a mesh."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pcmamba.data.structures import PointCloud


def sample_mesh(cloud: PointCloud, num_points: int, seed: int = 0) -> PointCloud:
    """Draw points uniformly by area from the faces of a cloud, with the normals of the faces.

    A face is drawn with a chance in proportion to its area, and a point in it by the square-root
    rule; faces without area are never drawn. The winding of a face decides the sign of its normal
    and is not always reliable. Values of the vertices (colours, labels, …) are left out and noted.

    Args:
        cloud: With faces.
        num_points: How many.
        seed: Of the draw; the same cloud, number and seed give the same points.

    Raises:
        ValueError: No faces, none with an area, or `num_points` is below 1.

    Source: Osada et al., Shape distributions (2002), section 4.1.
    """
    if num_points < 1:
        raise ValueError(f"num_points must be at least 1, got {num_points}")
    if cloud.faces is None or not len(cloud.faces):
        raise ValueError(f"{cloud.source or 'cloud'} must have faces to be sampled, got none")
    corners = cloud.xyz.astype(np.float64)[cloud.faces]
    edges = corners[:, 1:] - corners[:, :1]
    across = np.cross(edges[:, 0], edges[:, 1])
    area = np.linalg.norm(across, axis=1)
    if not area.sum() > 0:
        raise ValueError(f"{cloud.source or 'cloud'} must have faces with an area, got none")
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(area), num_points, p=area / area.sum())
    root, along = np.sqrt(rng.random((num_points, 1))), rng.random((num_points, 1))
    xyz = corners[chosen, 0] + root * ((1.0 - along) * edges[chosen, 0] + along * edges[chosen, 1])
    dropped = ("colors", "intensity", "labels")
    lost = [*(n for n in dropped if getattr(cloud, n) is not None), *cloud.attributes]
    notes = [f"{num_points} points drawn from {len(area)} faces with seed {seed}"]
    if lost:
        notes.append(f"left out {', '.join(lost)} of the vertices")
    return replace(
        cloud,
        xyz=xyz.astype(np.float32),
        normals=(across[chosen] / area[chosen, None]).astype(np.float32),
        colors=None,
        intensity=None,
        labels=None,
        faces=None,
        attributes={},
        notes=(*cloud.notes, *notes),
    )
