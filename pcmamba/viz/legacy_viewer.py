"""Open3D's legacy window: OpenGL alone, no legend, so that words go to the terminal."""

from __future__ import annotations

from typing import Any

from pcmamba.viz.camera import Camera
from pcmamba.viz.geometry import cloud_of, line_of, placed
from pcmamba.viz.render import default_point_size
from pcmamba.viz.stepper import HELP, Stepper

WIDTH, HEIGHT = 1100, 800


def show(stepper: Stepper) -> None:
    """Open the window and return when it is closed.

    Raises:
        RuntimeError: It does not open.
    """
    import open3d

    window = open3d.visualization.VisualizerWithKeyCallback()
    if not window.create_window("pcmamba view", WIDTH, HEIGHT):
        raise RuntimeError("the legacy window does not open, OpenGL fails")
    print(HELP.split("   Shift")[0], flush=True)

    def press(key: str) -> Any:
        def act(_: Any) -> bool:
            changed = stepper.press(key)
            if changed:
                _fill(window, stepper, reset=key in "np")
            return changed

        return act

    for key in stepper.actions():
        window.register_key_callback(ord(key.upper()), press(key))
    _fill(window, stepper, reset=True)
    window.run()
    window.destroy_window()


def _fill(window: Any, stepper: Stepper, reset: bool) -> None:
    scene = stepper.scene()
    window.clear_geometries()
    for points, panel in zip(placed(scene), scene.panels, strict=True):
        window.add_geometry(cloud_of(points, panel), reset)
        if panel.line is not None and len(points) > 1:
            window.add_geometry(line_of(points, panel), False)
    lined = scene.panels[0].line is not None
    window.get_render_option().point_size = default_point_size(len(points), HEIGHT, lined)
    if reset:
        _, up, towards = Camera().rows()
        control = window.get_view_control()
        control.set_front(towards)
        control.set_up(up)
        control.set_zoom(0.7)
    print("\n".join(stepper.words()), flush=True)
    if scene.legend is not None and scene.legend.names:
        print(f"{scene.legend.title}: {', '.join(scene.legend.names)}", flush=True)
