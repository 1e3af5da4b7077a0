"""Reports in a real browser without a network: no error, rows sort, pictures change places."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from pcmamba.viz.html_page import COLORS
from pcmamba.viz.line_chart import Line, line_chart
from pcmamba.viz.report_page import Cell, ClassRow, Fact, Guess, ReportPage, Sample
from pcmamba.viz.report_page import save_report_page as save

ROWS = [
    ClassRow("<b>cup</b>", 3, 2 / 3, 1.0, 0.6, "can (1)", 1),
    ClassRow("can", 0, None, None, None, "", 0),
    ClassRow("arch", 5, 1.0, 5 / 6, 0.9, "", 0),
]
SAMPLES = [
    Sample("a", "", "cup", "can", 0.6, 3.0, (Guess("can", 0.6, False), Guess("cup", 0.05, True))),
    Sample("b", "", "cup", "cup", 0.4, 0.9, (Guess("cup", 0.4, True),)),
    Sample("c", "", "arch", "can", 0.9, 2.0, (Guess("can", 0.9, False),)),
]
PAGE = ReportPage(
    title="A report",
    protocol="in words",
    facts=[Fact("Overall accuracy", "87.50 %")],
    charts=[line_chart("loss", [Line("training", ((1, 2.0), (2, 1.0)))])],
    classes=ROWS,
    confusion=[[Cell(2, 2 / 3), Cell(1, 1 / 3), Cell(0, 0)], [Cell(0, 0)] * 3, [Cell(5, 1.0)] * 3],
    samples=SAMPLES,
)
# Sorts by the column "recognised" twice, then asks for mistakes; what is seen becomes the title.
SCRIPT = """
<script>
const all = (query) => [...document.querySelectorAll(query)];
const names = () => all("#classes tbody tr").map((row) => row.cells[0].innerText);
const cards = () => all(".card:not([hidden]) .id").map((text) => text.innerText[0]);
const head = document.querySelectorAll("#classes th button")[2], seen = [cards().join("")];
head.click(); seen.push(names().join());
head.click(); seen.push(names().join());
document.querySelector('[data-by="mistake"]').click(); seen.push(cards().join(""));
document.title = seen.join("|");
</script></body>
"""


def browse(page, folder, *options):
    """Load a page in a headless browser; return its document and what its console said."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs chromium")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}"]
    # Every name leads nowhere: a request would be an error on the console.
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000"]
    command += ["--window-size=1000,900", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
def test_rows_sort_and_mistakes_come_first(tmp_path):
    text = save(tmp_path / "a.html", PAGE).read_text(encoding="utf-8")
    (tmp_path / "b.html").write_text(text.replace("</body>", SCRIPT), encoding="utf-8")
    document, console = browse(tmp_path / "b.html", tmp_path, "--dump-dom")
    assert console == []
    title = re.search("<title>(.*?)</title>", document)[1]
    # Rows without a value stay last either way; what was recognised is no mistake; the more
    # confident mistake comes first.
    wanted = ["abc", "arch,<b>cup</b>,can", "<b>cup</b>,arch,can", "ca"]
    assert title.replace("&lt;", "<").replace("&gt;", ">").split("|") == wanted


@pytest.mark.slow
def test_lines_are_drawn_in_the_colours_of_the_palette(tmp_path):
    save(tmp_path / "a.html", PAGE)
    _, console = browse(tmp_path / "a.html", tmp_path, f"--screenshot={tmp_path / 'a.png'}")
    assert console == []
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert (pixels == COLORS[0]).all(axis=2).sum() > 200
