"""What a window shows and what its keys change; the same for every kind of window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pcmamba.ops.orders import ORDERS
from pcmamba.viz.sample import Sample
from pcmamba.viz.save import save_png
from pcmamba.viz.scene import Scene, make_scene, modes_of

HELP = "N P sample   C colour   O order   L line   S save   Q close   Shift+click names a point"


@dataclass
class Stepper:
    """The sample, colouring and order on show.

    Attributes:
        samples: To step through, at least one.
        mode: One of `scene.MODES`, or "auto".
        order: For "sequence".
        depth: For "sequence"; None: by the order.
        line: For "sequence": draw the line.
        palette: "auto" or "safe".
        folder: Where S saves pictures.
        index: Which sample.
        written: Pictures saved so far.
    """

    samples: Sequence[Sample]
    mode: str = "auto"
    order: str = "hilbert"
    depth: int | None = None
    line: bool = True
    palette: str = "auto"
    folder: Path = field(default_factory=Path)
    index: int = 0
    written: list[Path] = field(default_factory=list)

    @property
    def sample(self) -> Sample:
        """The sample on show."""
        return self.samples[self.index]

    def scene(self) -> Scene:
        """Return what is on show, coloured; a colouring this sample lacks gives way to its own."""
        mode = self.mode if self.mode in (*modes_of(self.sample), "auto") else "auto"
        return make_scene(
            self.sample,
            mode,
            order=self.order,
            depth=self.depth,
            line=self.line,
            palette=self.palette,
        )

    def press(self, key: str) -> bool:
        """Act on a key, one of n p c o l s in any case; tell whether something changed.

        Raises:
            KeyError: Another key.
        """
        return self.actions()[key.lower()]()

    def actions(self) -> dict[str, Callable[[], bool]]:
        """Return the action of each key."""
        return {
            "n": lambda: self._step(1),
            "p": lambda: self._step(-1),
            "c": self._next_mode,
            "o": self._next_order,
            "l": self._toggle_line,
            "s": self._save,
        }

    def _step(self, by: int) -> bool:
        self.index = (self.index + by) % len(self.samples)
        return len(self.samples) > 1

    def _next_mode(self) -> bool:
        modes = modes_of(self.sample)
        self.mode = modes[(modes.index(self.scene().mode) + 1) % len(modes)]
        return True

    def _next_order(self) -> bool:
        orders = list(ORDERS)
        self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        return self.scene().mode == "sequence"

    def _toggle_line(self) -> bool:
        self.line = not self.line
        return self.scene().mode == "sequence"

    def _save(self) -> bool:
        taken = len(self.written) + 1
        while (path := self.folder / f"view-{taken}.png").exists():
            taken += 1
        save_png(path, self.scene())
        self.written.append(path)
        print(f"wrote {path}", flush=True)
        return False

    def words(self) -> list[str]:
        """Say what is on show: the title, where it is among the samples, what the colours mean."""
        scene = self.scene()
        lines = [scene.title, f"{self.index + 1} of {len(self.samples)}, {scene.mode}"]
        if scene.legend is not None and scene.legend.ramp is not None:
            lines.append(f"{scene.legend.title}: {scene.legend.low} to {scene.legend.high}")
        return [line for line in (*lines, scene.note) if line]
