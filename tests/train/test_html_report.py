"""Reports: what the page says agrees with the files, and it holds everything it needs."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
import torch

from pcmamba.data.datasets import DATASETS
from pcmamba.train.evaluate import evaluate
from pcmamba.train.html_report import save_evaluation_report, save_run_report
from pcmamba.train.predictor import load


class Page(HTMLParser):
    """Texts, tags and addresses of a page."""

    def __init__(self, path):
        super().__init__()
        self.text, self.addresses, self.tags = "", [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.addresses += [v for k, v in attrs if k in ("src", "href", "srcset", "action")]

    def handle_data(self, data):
        self.text += data

    def pictures(self):
        found = [attrs["src"] for tag, attrs in self.tags if tag == "img"]
        return [base64.b64decode(src.removeprefix("data:image/png;base64,")) for src in found]


@pytest.fixture(scope="module")
def test_set():
    return DATASETS["shapes"](train_size=80, test_size=32, num_points=96).load("test")


@pytest.fixture(scope="module")
def written(tiny_run, test_set, tmp_path_factory):
    """A report of an evaluation: the page, the report, and its folder."""
    model, folder = load(tiny_run, device="cpu").model, tmp_path_factory.mktemp("out")
    report = evaluate(model, test_set)
    paths = save_evaluation_report(folder, report, model, test_set, tiny_run)
    return Page(paths[-1]), report, folder


def test_figures_are_those_of_the_evaluation(written):
    page, report, folder = written
    stored = json.loads((folder / "evaluation.json").read_text())
    assert f"{100 * stored['overall_accuracy']:.2f} %" in page.text
    assert stored["protocol"] in page.text
    counts = [int(t) for t in re.findall(r'<td[^>]*title="[^"]*">(\d+)</td>', page.source)]
    assert sum(counts) == sum(map(sum, report.confusion))
    for name in report.class_names:
        assert f'data-value="{name}"' in page.source


def test_hardest_samples_have_pictures_and_probabilities(written):
    page, report, _ = written
    hardest = report.predictions.hardest(1)[0]
    assert page.text.index(report.predictions.ids[hardest]) > 0
    pictures = page.pictures()
    assert len(pictures) >= 12
    assert all(png.startswith(b"\x89PNG") for png in pictures)
    assert len(set(pictures)) == len(pictures), "each sample has its own"


def test_page_loads_nothing_from_elsewhere(written):
    page, _, folder = written
    for address in page.addresses:
        inside = address.startswith(("data:", "#"))
        assert inside or (folder / address).is_file(), address
    assert "default-src 'none'" in page.source
    assert not re.search(r"@import|url\(", page.source)


def test_files_configuration_versions_and_curves_are_there(written):
    page, _, folder = written
    listed = {a for a in page.addresses if not a.startswith(("data:", "#"))}
    assert listed == {path.name for path in folder.iterdir()} - {"report.html"}
    assert "eval_batch_size" in page.text
    assert f"torch {torch.__version__}".partition("+")[0] in page.text
    assert [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"] == [
        "loss over epoch",
        "accuracy over epoch",
        "learning rate over epoch",
    ]


def test_names_are_text_and_never_markup(tiny_run, test_set, tmp_path):
    model = load(tiny_run, device="cpu").model
    evil = '<img src="http://example.com/x">'
    names = (evil, *test_set.class_names[1:])
    model.class_names = names
    changed = dataclasses.replace(
        test_set, class_names=names, ids=tuple(f"{evil}{i}" for i in range(32))
    )
    page = Page(save_evaluation_report(tmp_path, evaluate(model, changed), model, changed)[-1])
    assert evil in page.text
    assert not [a for a in page.addresses if "example.com" in a]


def test_a_run_has_a_page_with_its_own_facts(tiny_run, test_set, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    model = load(run, device="cpu").model
    page = Page(save_run_report(run, model=model, test_set=test_set))
    assert "2 of 2" in page.text
    assert "pcm_nano on shapes" in page.text
    assert len(page.pictures()) >= 12
    listed = {a for a in page.addresses if not a.startswith(("data:", "#"))}
    assert {"metrics.csv", "config.yaml", "model/model.safetensors"} <= listed
    assert all((run / name).is_file() for name in listed)


def test_pictures_of_other_samples_are_not_shown(tiny_run, test_set, tmp_path):
    other = dataclasses.replace(test_set, ids=tuple(f"other {i}" for i in range(32)))
    model = load(tiny_run, device="cpu").model
    page = Page(save_run_report(tiny_run, tmp_path / "r.html", model=model, test_set=other))
    assert page.pictures() == []
    assert "the test split has other samples" in page.text


def test_a_run_without_a_result_shows_what_there_is(tiny_run, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.yaml", "environment.json", "metrics.csv"):
        shutil.copy(tiny_run / name, run)
    page = Page(save_run_report(run))
    assert "not tested yet" in page.text
    assert "2 of 2" in page.text
    (run / "metrics.csv").unlink()
    assert "Recipe" in Page(save_run_report(run)).text
    with pytest.raises(FileNotFoundError, match="must be the folder of a run"):
        save_run_report(tmp_path)
