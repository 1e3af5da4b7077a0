"""The page: everything inside, thinned where it must be, right in a browser without a network."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcmamba.viz.cloud_page import cloud_page, save_cloud_page, thin
from pcmamba.viz.palette import LABELS
from pcmamba.viz.sample import Sample
from pcmamba.viz.scene import sequence_of

DICE = np.random.default_rng(0)
POINTS = DICE.normal(size=(500, 3)).astype(np.float32)
SAMPLE = Sample(
    POINTS,
    title="<script>blob</script>",
    labels=np.arange(500) % 3,
    predicted_labels=np.arange(500) % 2,
    label_names=("a", "b", "c"),
)


def read(content):
    """Return the meta data of a page and a function that reads a place of its data."""
    meta = json.loads(re.search(r'id="meta">(.*?)</script>', content)[1])
    data = base64.b64decode(re.search(r'id="data">(.*?)</script>', content)[1])

    def array(place):
        return np.frombuffer(data, f"<{place[0]}", place[2], place[1])

    return meta, array


def test_the_page_holds_points_colours_labels_and_orders():
    meta, array = read(cloud_page([SAMPLE], color="part", order="z"))
    [entry] = meta["samples"]
    steps = array(entry["xyz"]).reshape(-1, 3) / 65535
    extent = np.ptp(POINTS, axis=0).max()
    assert np.abs(steps * extent + POINTS.min(axis=0) - POINTS).max() < extent / 65535
    truth, prediction = entry["modes"]["part"]["panels"]
    table = np.array(entry["modes"]["part"]["table"])
    assert np.array_equal(table[array(truth["index"])], LABELS[SAMPLE.labels])
    assert np.array_equal(table[array(prediction["index"])], LABELS[SAMPLE.predicted_labels])
    assert np.array_equal(array(entry["labels"]["predicted"]), SAMPLE.predicted_labels)
    for name in ("z", "hilbert", "cts-xyz"):
        assert np.array_equal(array(entry["orders"][name]), sequence_of(POINTS, name))
    assert (meta["mode"], meta["order"]) == ("part", "z")


def test_nothing_from_outside_and_no_word_becomes_markup():
    content = cloud_page([SAMPLE])
    assert not re.search(r"https?://|//cdn|@import|url\(", content)
    assert content.count("<script") == 3
    assert "default-src 'none'" in content


def test_too_many_points_are_thinned_with_a_note_and_keep_their_numbers():
    thinned, kept = thin(SAMPLE, 100)
    assert np.array_equal(thinned.points, POINTS[kept])
    assert np.array_equal(thinned.labels, SAMPLE.labels[kept])
    meta, array = read(cloud_page([SAMPLE, SAMPLE], most_points=200))
    assert [entry["count"] for entry in meta["samples"]] == [100, 100]
    assert meta["samples"][0]["note"] == "shows 100 of 500 points, drawn at random"
    assert np.array_equal(array(meta["samples"][0]["ids"]), kept)
    assert thin(SAMPLE, 500) == (SAMPLE, None)


def test_no_sample_is_refused():
    with pytest.raises(ValueError, match="samples must hold at least one, got none"):
        cloud_page([])


def browse(page: Path, folder: Path, *options: str) -> tuple[str, str]:
    """Load a page in a headless browser; return its document and what its console said."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "needs chromium: sh tools/setup_display.sh"
        )
    command = [browser, "--headless", "--no-sandbox", "--use-angle=swiftshader"]
    command += ["--enable-unsafe-swiftshader", "--hide-scrollbars", "--window-size=800,600"]
    command += ["--disable-background-networking", "--no-first-run", "--enable-logging=stderr"]
    command += [f"--user-data-dir={folder / 'profile'}"]
    # Every name leads nowhere: a request would be an error on the console.
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", *options, page.as_uri()]
    # Its own processes keep the pipes open: they must end with it.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        document, complaints = process.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    console = [line for line in complaints.splitlines() if "CONSOLE" in line]
    return document, "\n".join(console)


def facts(document: str) -> dict[str, str]:
    return dict(re.findall(r'data-(\w+)="([^"]*)"', re.search(r"<body[^>]*>", document)[0]))


@pytest.mark.slow
def test_the_page_works_in_a_browser_without_errors_or_network(tmp_path):
    cube = np.stack(np.meshgrid(*[np.linspace(-1, 1, 12)] * 3), axis=-1).reshape(-1, 3)
    labels = np.arange(len(cube)) % 2
    sample = Sample(cube.astype(np.float32), labels=labels, predicted_labels=1 - labels)
    save_cloud_page(tmp_path / "a.html", [replace(sample, title="cube"), SAMPLE], color="part")
    document, console = browse(tmp_path / "a.html", tmp_path, "--dump-dom")
    said = facts(document)
    assert (console, said["errors"], said["requests"]) == ("", "", "0")
    assert (said["points"], said["mode"]) == (str(len(cube)), "part")
    assert int(said["drawn"]) >= 1
    picture = f"--screenshot={tmp_path / 'a.png'}"
    browse(tmp_path / "a.html", tmp_path, picture, "--virtual-time-budget=20000")
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    for color in LABELS[:2]:
        assert (pixels == color).all(axis=2).sum() > 1000


@pytest.mark.timing
@pytest.mark.slow
def test_a_million_points_open_in_less_than_ten_seconds(tmp_path):
    points = DICE.normal(size=(1_000_000, 3)).astype(np.float32)
    began = time.perf_counter()
    save_cloud_page(tmp_path / "a.html", [Sample(points)], color="sequence")
    written = time.perf_counter() - began
    document, console = browse(tmp_path / "a.html", tmp_path, "--dump-dom")
    said = facts(document)
    assert (console, said["errors"], said["points"]) == ("", "", "1000000")
    assert written + int(said["milliseconds"]) / 1000 < 10
