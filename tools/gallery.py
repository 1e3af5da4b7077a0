"""Make docs/gallery.md and its pictures by the commands that the page shows.

Run it by `make gallery`; it trains pcm_nano on synthetic shapes for a minute or two. `make gallery
RUN=runs/…` takes a run that is there. Pages become pictures where Chromium is installed; elsewhere
their pictures stay as they are.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pcmamba.cli import main as pcmamba
from pcmamba.data.datasets import DATASETS
from pcmamba.data.structures import PointCloud
from pcmamba.data.writers import write_ply
from pcmamba.train.recipe_file import differences, load_recipe
from pcmamba.train.run_folder import read_recipe_of

ROOT = Path(__file__).resolve().parents[1]
HELD_OUT = 6  # the chair that the README shows
TRAINING = ["--trainer.max_epochs", "5", "--data.options", "{train_size: 1600}"]
RECIPE = "shapes/pcm_nano"
MOST_WIDE, COLORS = 720, 255
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass(frozen=True)
class Picture:
    """A picture of the gallery.

    Attributes:
        file: Its name from the folder docs.
        title: Heading above it.
        caption: Text below it.
        command: What makes it; RUN stands for the run, CLOUD for a held-out cloud, OUT for the
            file, PAGE for a page that is then photographed.
        size: Pixels of the photographed window.
    """

    file: str
    title: str
    caption: str
    command: str
    size: tuple[int, int] = (1200, 900)


PICTURES = (
    Picture(
        "prediction.png",
        "A prediction",
        "A cloud that the model has not seen, with its answer.",
        "pcmamba predict RUN CLOUD --save OUT",
    ),
    Picture(
        "gallery/hilbert.png",
        "A cloud as a sequence",
        "The same chair in the order of a Hilbert curve, from dark to bright: what a Mamba layer "
        "reads. The line goes from each point to the next.",
        f"pcmamba view --data.name shapes --index {HELD_OUT} --color sequence --order hilbert "
        "--save OUT",
    ),
    Picture(
        "gallery/snake.png",
        "Another order",
        "Along the snake of Point Cloud Mamba: slab by slab, row by row, turning at each end.",
        f"pcmamba view --data.name shapes --index {HELD_OUT} --color sequence --order cts-xyz "
        "--save OUT",
    ),
    Picture(
        "gallery/parts.png",
        "Parts",
        "Labels of points, in colours that colour-blind eyes tell apart too.",
        f"pcmamba view --data.name shapes --index {HELD_OUT} --color part --save OUT",
    ),
    Picture(
        "gallery/report.png",
        "A report of an evaluation",
        "One HTML file that opens offline: figures, curves, classes, confusion matrix, hardest "
        "samples, configuration and versions. `pcmamba report RUN` writes one of a run.",
        "pcmamba evaluate RUN --report PAGE",
    ),
    Picture(
        "gallery/samples.png",
        "Its hardest samples",
        "Further down on the same page.",
        "pcmamba evaluate RUN --report PAGE#samples",
        size=(1200, 1010),
    ),
    Picture(
        "gallery/benchmark.png",
        "The benchmark",
        "Times of the operators beside the programs they replace, what was asked for and the "
        "least time that any program needs.",
        "python tools/bench.py --read docs/benchmarks/h100.json --html PAGE",
    ),
)


def train(folder: Path) -> Path:
    """Train the gallery's model and return its run."""
    run = folder / "run"
    _pcmamba("train", RECIPE, "--out", str(run), *TRAINING)
    return run


def make(picture: Picture, run: Path, docs: Path, scratch: Path) -> bool:
    """Make one picture, and tell whether it could be made here."""
    target = docs / picture.file
    target.parent.mkdir(parents=True, exist_ok=True)
    page = scratch / _page_name(picture)
    needs_browser = "PAGE" in picture.command
    if needs_browser and browser() is None:
        print(f"left as it is, for no Chromium was found: {target}")
        return False
    words = [_filled(word, run, target, page, scratch) for word in shlex.split(picture.command)]
    if needs_browser and page.exists():
        pass  # two pictures of one page
    elif words[0] == "pcmamba":
        _pcmamba(*words[1:])
    else:
        subprocess.run([sys.executable, *words[1:]], check=False, cwd=ROOT, capture_output=True)
    if needs_browser:
        photograph(page, picture.command.partition("#")[2], target, picture.size)
    shrink(target)
    print(f"wrote {target} ({target.stat().st_size / 1000:.0f} kB)")
    return True


def _filled(word: str, run: Path, target: Path, page: Path, scratch: Path) -> str:
    cloud = held_out_cloud(scratch / "chair.ply")
    places = {"RUN": run, "CLOUD": cloud, "OUT": target, "PAGE": page}
    return str(places.get(word.partition("#")[0], word))


def held_out_cloud(path: Path) -> Path:
    """Write one synthetic cloud that no model has seen as a PLY file, once."""
    if not path.exists():
        shapes = DATASETS["shapes"](root=None, test_size=HELD_OUT + 1).load("test")
        write_ply(path, PointCloud(xyz=shapes.points[HELD_OUT].numpy()))
    return path


def browser() -> str | None:
    """Return the path of Chromium, None if there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def photograph(page: Path, anchor: str, target: Path, size: tuple[int, int]) -> None:
    """Let Chromium draw the top of a page, or only the section of this name."""
    file = page / "report.html" if page.is_dir() else page
    if anchor:
        alone = f"header, section:not(#{anchor}) {{ display: none; }}</style>"
        text = file.read_text(encoding="utf-8").replace("</style>", alone, 1)
        file = file.with_name(f"{anchor}.html")
        file.write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    window = [f"--window-size={size[0]},{size[1]}", f"--screenshot={target}"]
    command = [str(browser()), *options, *window, file.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def shrink(path: Path) -> None:
    """Make a PNG at most so wide and of so many colours, so that the repository stays small."""
    picture = Image.open(path).convert("RGB")
    if picture.width > MOST_WIDE:
        size = (MOST_WIDE, round(picture.height * MOST_WIDE / picture.width))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    few = picture.quantize(COLORS, kmeans=2, dither=Image.Dither.NONE)
    few.save(path, format="PNG", optimize=True)


def page_text(run: Path) -> str:
    """Return the gallery page: every picture with the command that made it."""
    stored = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    lines = [
        "# Gallery",
        "",
        "Made by `make gallery`, pictures and page. RUN is "
        f"a run of `pcm_nano` on synthetic shapes with {100 * stored['overall_accuracy']:.1f} % "
        f"overall accuracy ({stored['protocol']}):",
        "",
        "```bash",
        f"pcmamba train {RECIPE} --out RUN{_changes(run)}",
        "```",
    ]
    for picture in PICTURES:
        command = picture.command.partition("#")[0].replace("PAGE", _page_name(picture))
        command = command.replace("OUT", Path(picture.file).name).replace("CLOUD", "chair.ply")
        lines += ["", f"## {picture.title}", "", f"![{picture.title}]({picture.file})", ""]
        lines += [picture.caption, "", "```bash", command, "```"]
    return "\n".join(lines) + "\n"


def _changes(run: Path) -> str:
    """Return the options that the run's recipe differs by from the one that is shipped."""
    found = differences(load_recipe(RECIPE), read_recipe_of(run))
    words = []
    for line in found:
        name, _, change = line.partition(": ")
        words += [f"--{name}", change.partition(" -> ")[2]]
    return "".join(f" {word}" for word in map(shlex.quote, words))


def _page_name(picture: Picture) -> str:
    return "bench.html" if "--html" in picture.command else "report"


def _pcmamba(*arguments: str) -> None:
    print(f"$ pcmamba {shlex.join(arguments)}", flush=True)
    code = pcmamba(arguments)
    if code:
        sys.exit(code)


def main(argv: list[str] | None = None) -> None:
    """Train if need be, make the pictures, write the page."""
    parser = argparse.ArgumentParser(description="Make the gallery.")
    parser.add_argument("--run", type=Path, help="take this run; by default one is trained")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of the page")
    parser.add_argument("--only", help="names of picture files, joined by commas")
    asked = parser.parse_args(argv)
    wanted = asked.only.split(",") if asked.only else [p.file for p in PICTURES]
    with tempfile.TemporaryDirectory() as folder:
        run = asked.run or train(Path(folder))
        for picture in PICTURES:
            if picture.file in wanted:
                make(picture, run, asked.docs, Path(folder))
        (asked.docs / "gallery.md").write_text(page_text(run), encoding="utf-8")


if __name__ == "__main__":
    main()
