from __future__ import annotations

import pytest
import torch

from pcmamba import cli

TINY = [
    "--model.overrides={widths: [16, 16, 16], embed_dim: 16, neighbours: 4}",
    "--data.options={train_size: 64, test_size: 16, num_points: 96}",
    "--data.num_points=64",
    "--data.batch_size=16",
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("report") / "run"
    assert cli.main(["train", "shapes/pcm_nano", f"--out={folder}", *TINY]) == 0
    yield folder
    torch.set_num_threads(before)


def test_evaluate_writes_one_page_beside_its_files(run, tmp_path, capsys):
    assert cli.main(["evaluate", str(run), f"--report={tmp_path}"]) == 0
    said = capsys.readouterr().out
    for name in ("evaluation.json", "predictions.csv", "predictions.npz", "report.html"):
        assert f"wrote {tmp_path / name}" in said
    assert "data:image/png" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_out_and_report_are_refused_together(run, tmp_path, capsys):
    options = [f"--report={tmp_path / 'a'}", f"--out={tmp_path / 'b'}"]
    assert cli.main(["evaluate", str(run), *options]) == 2
    assert "out must not be given beside report" in capsys.readouterr().err


def test_report_of_a_run(run, tmp_path, capsys):
    assert cli.main(["report", str(run)]) == 0
    assert f"wrote {run / 'report.html'}" in capsys.readouterr().out
    page = tmp_path / "new" / "page.html"
    assert cli.main(["report", str(run), f"--out={page}"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "data:image/png" in text
    assert 'id="files"' not in text, "links would lead nowhere from another folder"


def test_report_of_what_is_no_run_is_one_line(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "must be the folder of a run" in capsys.readouterr().err
