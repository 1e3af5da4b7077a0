"""A cloud turning about its vertical, as a GIF or an MP4."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pcmamba.viz.camera import Camera, fit_all_round
from pcmamba.viz.save import draw_scene, replace_file
from pcmamba.viz.scene import Scene

if TYPE_CHECKING:
    from PIL.Image import Image

SIZE, FRAMES, PER_SECOND = 480, 48, 16


def save_turntable(path: Path, scene: Scene, size: int = SIZE, frames: int = FRAMES) -> None:
    """Write one turn, 16 pictures a second; the suffix .gif or .mp4 chooses the format.

    Raises:
        ImportError: An MP4 is wanted and there is no ffmpeg; says what to install.
        ValueError: `frames` is below 2, or the suffix is another.
    """
    if frames < 2:
        raise ValueError(f"frames must be at least 2, got {frames}")
    kinds = {".gif": _save_gif, ".mp4": _save_mp4}
    if path.suffix.lower() not in kinds:
        raise ValueError(f"save must end in .gif or .mp4 for a turntable, got {path.name}")
    kinds[path.suffix.lower()](path, scene, size, frames)


def turn(scene: Scene, size: int, frames: int) -> Iterator[Image]:
    """Draw the scene from `frames` sides, all at one scale."""
    points = scene.panels[0].points
    start = Camera()
    centre = points.mean(axis=0, dtype=np.float64)
    frame = fit_all_round(points, centre, start.elevation, size)
    for k in range(frames):
        yield draw_scene(
            scene, size, Camera(start.azimuth + 360.0 * k / frames, start.elevation), frame
        )


def _save_gif(path: Path, scene: Scene, size: int, frames: int) -> None:
    """Write a GIF; all pictures share the 256 colours of the first."""
    from PIL.Image import Dither

    pictures: list[Image] = []
    for picture in turn(scene, size, frames):
        shared = pictures[0] if pictures else None
        pictures.append(picture.quantize(256, palette=shared, dither=Dither.NONE))
    replace_file(
        path,
        lambda temporary: pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=round(1000 / PER_SECOND),
            loop=0,
            optimize=True,
        ),
    )


def find_ffmpeg() -> str:
    """Return the command ffmpeg, of the system or of the package imageio-ffmpeg.

    Raises:
        ImportError: There is neither; says what to install.
    """
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ImportError(
            "mp4 needs ffmpeg: install it, or pip install imageio-ffmpeg; "
            "a name that ends in .gif needs neither"
        ) from error
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _save_mp4(path: Path, scene: Scene, size: int, frames: int) -> None:
    ffmpeg = find_ffmpeg()
    pictures = list(turn(scene, size, frames))
    width, height = (edge + edge % 2 for edge in pictures[0].size)  # the encoder wants even edges

    def write(temporary: Path) -> None:
        command = [ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
        command += ["-s", f"{width}x{height}", "-r", str(PER_SECOND), "-i", "-"]
        command += ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18", "-f", "mp4"]
        content = b"".join(_padded(picture, width, height) for picture in pictures)
        done = subprocess.run(
            [*command, str(temporary)], input=content, capture_output=True, check=False
        )
        if done.returncode:
            raise OSError(f"ffmpeg could not write {path}: {done.stderr.decode().strip()}")

    replace_file(path, write)


def _padded(picture: Image, width: int, height: int) -> bytes:
    canvas = np.full((height, width, 3), 255, np.uint8)
    canvas[: picture.height, : picture.width] = np.asarray(picture)
    return canvas.tobytes()
