"""The gallery: its page and pictures are what the tool makes, and small."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import gallery
import numpy as np
import pytest
from PIL import Image

from pcmamba.train.recipe_file import dump_recipe, load_recipe

DOCS = Path(__file__).resolve().parents[2] / "docs"
STORED = {"overall_accuracy": 0.75, "protocol": "shapes, test split"}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps(STORED))
    (folder / "config.yaml").write_text(dump_recipe(load_recipe(gallery.RECIPE)))
    return folder


def test_the_page_is_what_the_tool_writes(run):
    committed = (DOCS / "gallery.md").read_text(encoding="utf-8")
    figures = re.search(r"with ([\d.]+) % overall accuracy \((.*)\):", committed)
    stored = {"overall_accuracy": float(figures[1]) / 100, "protocol": figures[2]}
    (run / "evaluation.json").write_text(json.dumps(stored))
    options = re.search(rf"pcmamba train {gallery.RECIPE} --out RUN(.*)", committed)[1]
    (run / "config.yaml").write_text(dump_recipe(load_recipe(gallery.RECIPE, shlex.split(options))))
    assert gallery.page_text(run) == committed


@pytest.mark.parametrize("picture", gallery.PICTURES, ids=lambda p: p.file)
def test_committed_pictures_are_there_and_small(picture):
    path = DOCS / picture.file
    assert path.stat().st_size < 150_000
    assert Image.open(path).width <= gallery.MOST_WIDE


def test_one_picture_and_the_page_are_made(run, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    gallery.main([f"--run={run}", f"--docs={docs}", "--only=gallery/parts.png"])
    assert [p.name for p in (docs / "gallery").iterdir()] == ["parts.png"]
    drawn = np.asarray(Image.open(docs / "gallery" / "parts.png").convert("RGB"))
    assert (drawn < 250).any() and (drawn > 250).any()
    assert "75.0 % overall accuracy" in (docs / "gallery.md").read_text(encoding="utf-8")


def test_without_a_browser_pages_keep_their_pictures(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gallery, "browser", lambda: None)
    [picture] = [p for p in gallery.PICTURES if p.file == "gallery/report.png"]
    assert not gallery.make(picture, run, tmp_path, tmp_path)
    assert "no Chromium was found" in capsys.readouterr().out
