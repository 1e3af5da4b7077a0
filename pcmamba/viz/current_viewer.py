"""Open3D's current viewer: the cloud, a legend beside it, keys, and the name of a picked point."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from pcmamba.viz.camera import Camera
from pcmamba.viz.geometry import cloud_of, line_of, placed
from pcmamba.viz.render import default_point_size
from pcmamba.viz.scene import ramp_colors, triple
from pcmamba.viz.stepper import HELP, Stepper

WIDTH, HEIGHT = 1280, 860
PICK_PIXELS = 12
MOST_ROWS = 24
# Seconds to go on drawing after a change: a single picture may still show what was before, and
# would stay until the next event.
SETTLING = 1.0


def show(stepper: Stepper) -> None:
    """Open the window and return when it is closed.

    Raises:
        RuntimeError: It does not open, Vulkan or OpenGL fails.
    """
    import open3d.visualization.gui as gui

    application = gui.Application.instance
    application.initialize()
    _Window(stepper)
    application.run()


class _Window:
    """The widgets, and what they do."""

    def __init__(self, stepper: Stepper) -> None:
        import open3d.visualization.gui as gui
        import open3d.visualization.rendering as rendering

        self.stepper = stepper
        self.window = gui.Application.instance.create_window("pcmamba view", WIDTH, HEIGHT)
        em = self.window.theme.font_size
        self.widget = gui.SceneWidget()
        self.widget.scene = rendering.Open3DScene(self.window.renderer)
        self.widget.scene.set_background([1.0, 1.0, 1.0, 1.0])
        # Tone mapping would change the colours.
        self.widget.scene.view.set_post_processing(False)
        self.widget.set_on_mouse(self._mouse)
        self.words, self.legend = gui.Label(""), gui.Vert(0.2 * em, gui.Margins(em, em, em, em))
        self.picked = gui.Label(f" {HELP}")
        for child in (self.widget, self.words, self.legend, self.picked):
            self.window.add_child(child)
        self.window.set_on_layout(self._layout)
        self.window.set_on_key(self._key)
        self.window.set_on_tick_event(self._tick)
        self._fill(reset=True)

    def _layout(self, _: Any) -> None:
        import open3d.visualization.gui as gui

        area, em = self.window.content_rect, self.window.theme.font_size
        side, line = 15 * em, round(1.6 * em)
        top = line * max(2, self.words.text.count("\n") + 1)
        self.words.frame = gui.Rect(area.x, area.y, area.width, top)
        middle = area.height - top - line
        self.widget.frame = gui.Rect(area.x, area.y + top, area.width - side, middle)
        self.legend.frame = gui.Rect(area.get_right() - side, area.y + top, side, middle)
        self.picked.frame = gui.Rect(area.x, area.get_bottom() - line, area.width, line)

    def _key(self, event: Any) -> bool:
        import open3d.visualization.gui as gui

        if event.type != gui.KeyEvent.Type.DOWN:
            return False
        names = {getattr(gui.KeyName, key.upper()): key for key in self.stepper.actions()}
        if event.key in (gui.KeyName.Q, gui.KeyName.ESCAPE):
            self.window.close()
            return True
        if event.key not in names:
            return False
        if self.stepper.press(names[event.key]):
            self._fill(reset=names[event.key] in "np")
        elif names[event.key] == "s":
            self.picked.text = f" wrote {self.stepper.written[-1]}"
            self._refresh()
        return True

    def _fill(self, reset: bool) -> None:
        """Show the stepper's scene; from the first place where the sample is another."""
        import open3d.visualization.rendering as rendering

        scene, target = self.stepper.scene(), self.widget.scene
        self.points = placed(scene)
        target.clear_geometry()
        material = rendering.MaterialRecord()
        material.shader = "defaultUnlit"
        lined = scene.panels[0].line is not None
        # Points are squares here, larger than discs of the same width.
        size = 0.7 * default_point_size(len(self.points[0]), HEIGHT, lined)
        material.point_size = size * self.window.scaling
        for k, (points, panel) in enumerate(zip(self.points, scene.panels, strict=True)):
            target.add_geometry(f"cloud {k}", cloud_of(points, panel), material)
            if panel.line is not None and len(points) > 1:
                thread = rendering.MaterialRecord()
                thread.shader = "unlitLine"
                thread.line_width = max(1.0, size / 3) * self.window.scaling
                target.add_geometry(f"line {k}", line_of(points, panel), thread)
        if reset:
            self._look()
        self.words.text = "\n".join(f" {line}" for line in self.stepper.words())
        self._fill_legend()
        self._refresh()

    def _look(self) -> None:
        box = self.widget.scene.bounding_box
        self.widget.setup_camera(40.0, box, box.get_center())
        _, up, towards = Camera().rows()
        distance = 1.6 * float(np.linalg.norm(box.get_extent())) or 1.0
        eye = np.asarray(box.get_center()) + towards * distance
        self.widget.look_at(box.get_center(), eye, up)

    def _fill_legend(self) -> None:
        import open3d.visualization.gui as gui

        old, em = self.legend, self.window.theme.font_size
        self.legend = gui.Vert(0.2 * em, gui.Margins(em, em, em, em))
        legend = self.stepper.scene().legend
        rows = [] if legend is None else list(zip(legend.names, legend.colors, strict=True))
        if legend is not None:
            self.legend.add_child(gui.Label(legend.title))
            if legend.ramp is not None:
                steps = [triple(color) for color in ramp_colors(legend, 9)[::-1]]
                words = [legend.high, *[""] * 7, legend.low]
                rows = [(word, color) for word, color in zip(words, steps, strict=True)]
        for name, color in rows[:MOST_ROWS]:
            self.legend.add_child(_row(name, color, em))
        if len(rows) > MOST_ROWS:
            self.legend.add_child(gui.Label(f"and {len(rows) - MOST_ROWS} more"))
        old.visible = False
        self.window.add_child(self.legend)

    def _mouse(self, event: Any) -> Any:
        import open3d.visualization.gui as gui

        down = event.type == gui.MouseEvent.Type.BUTTON_DOWN
        if not (down and event.is_modifier_down(gui.KeyModifier.SHIFT)):
            return gui.Widget.EventCallbackResult.IGNORED
        frame = self.widget.frame
        found = self.pick(event.x - frame.x, event.y - frame.y)
        self._say("no point there" if found is None else self.stepper.sample.describe(found))
        return gui.Widget.EventCallbackResult.HANDLED

    def pick(self, x: float, y: float) -> int | None:
        """Return the nearest point to the viewer that is drawn near a pixel of the widget."""
        camera, frame = self.widget.scene.camera, self.widget.frame
        see = np.asarray(camera.get_projection_matrix()) @ np.asarray(camera.get_view_matrix())
        best: tuple[float, int] | None = None
        for points in self.points:
            seen = np.column_stack([points, np.ones(len(points))]) @ see.T
            flat = seen[:, :2] / seen[:, 3:]
            aside = (flat * [1, -1] + 1) / 2 * [frame.width, frame.height] - [x, y]
            near = np.flatnonzero((np.hypot(*aside.T) < PICK_PIXELS) & (seen[:, 3] > 0))
            if len(near):
                first = int(near[np.argmin(seen[near, 3])])
                best = min(best or (np.inf, -1), (float(seen[first, 3]), first))
        return None if best is None else best[1]

    def _say(self, words: str) -> None:
        print(words, flush=True)
        self.picked.text = f" {words}"
        self._refresh()

    def _refresh(self) -> None:
        """Lay out, and draw for a while."""
        self.window.set_needs_layout()
        self.fresh_until = time.monotonic() + SETTLING

    def _tick(self) -> bool:
        if time.monotonic() > self.fresh_until:
            return False
        self.widget.force_redraw()
        return True


def _row(name: str, color: tuple[int, int, int], em: float) -> Any:
    import open3d
    import open3d.visualization.gui as gui

    row = gui.Horiz(0.5 * em)
    patch: Any = np.full((round(em), round(em), 3), color, np.uint8)
    row.add_child(gui.ImageWidget(open3d.geometry.Image(patch)))
    row.add_child(gui.Label(name))
    return row
