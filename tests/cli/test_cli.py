"""The command line: exit codes, one-line errors, JSON, the same points in every format."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from pcmamba import cli
from pcmamba.data.datasets import DATASETS
from pcmamba.data.structures import PointCloud
from pcmamba.data.writers import write_ply

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
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert cli.main(["train", "shapes/pcm_nano", f"--out={folder}", *TINY]) == 0
    yield folder
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def points():
    return DATASETS["shapes"](test_size=4).load("test").points[3].numpy()


def write(path, xyz):
    """Write points in the format of the path's extension; text with nine significant digits."""
    rows = "\n".join(" ".join(f"{value:.9g}" for value in row) for row in xyz)
    if path.suffix == ".ply":
        write_ply(path, PointCloud(xyz=xyz))
    elif path.suffix == ".npy":
        np.save(path, xyz)
    elif path.suffix == ".npz":
        np.savez(path, xyz=xyz)
    elif path.suffix == ".off":
        path.write_text(f"OFF\n{len(xyz)} 0 0\n{rows}\n")
    else:
        path.write_text(rows + "\n")
    return str(path)


def predict(capsys, *argv):
    code = cli.main(["predict", *map(str, argv)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_same_points_in_six_formats_give_the_same_probabilities(run, points, tmp_path, capsys):
    names = ("a.ply", "b.npy", "c.npz", "d.off", "e.xyz", "f.txt")
    files = [write(tmp_path / name, points) for name in names]
    code, out, err = predict(capsys, run, *files, "--json", "--top=16")
    rows = json.loads(out)
    assert (code, err, len(rows)) == (0, "", 6)
    assert len(points) == 1024
    for row in rows:
        assert row["classes"] == rows[0]["classes"]
        assert row["num_points"] == 64
        assert row["note"].startswith("sampled 64 of 1,024 points")
    assert sum(c["probability"] for c in rows[0]["classes"]) == pytest.approx(1.0)
    alone = json.loads(predict(capsys, run, files[4], "--json", "--top=16")[1])
    assert alone == [rows[4]]


def test_text_output_names_file_classes_and_what_was_done(run, points, tmp_path, capsys):
    file = write(tmp_path / "scan.npy", points[:50])
    code, out, _ = predict(capsys, run, file, "--top=2", "--up-axis=y")
    assert code == 0
    assert out.startswith(f"{file}: ")
    assert out.count("%") == 2
    assert "used all 50 points, fewer than the 64" in out
    assert "taken as y up" in out


BAD = {
    "missing.ply": None,
    "empty.npy": b"",
    "broken.ply": b"ply\nformat ascii 1.0\nelement vertex 5\n",
    "nan.txt": b"nan nan nan\nnan nan nan\n",
    "shape.txt": b"1 2\n3 4\n",
    "unknown.bin": b"12345",
    "few.txt": b"1 2 3\n4 5 6\n",
}


@pytest.mark.parametrize("name", BAD)
def test_an_unusable_file_gives_one_line_and_a_code(run, tmp_path, capsys, name):
    if BAD[name] is not None:
        (tmp_path / name).write_bytes(BAD[name])
    code, out, err = predict(capsys, run, tmp_path / name)
    assert code == 1
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("pcmamba: error: ")
    assert name in err


def test_one_bad_file_does_not_stop_the_others(run, points, tmp_path, capsys):
    files = [write(tmp_path / "a.npy", points), tmp_path / "gone.npy", tmp_path / "a.npy"]
    code, out, err = predict(capsys, run, *files, "--json")
    rows = json.loads(out)
    assert code == 1
    assert rows[0] == rows[2]
    assert "gone.npy" in rows[1]["error"]
    assert err.count("\n") == 1


def test_pictures_are_saved_to_a_file_or_a_folder(run, points, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    files = [write(tmp_path / "a.npy", points), write(tmp_path / "other" / "a.npy", points)]
    assert predict(capsys, run, files[0], f"--save={tmp_path / 'one.png'}")[0] == 0
    assert predict(capsys, run, *files, f"--save={tmp_path / 'all'}")[0] == 0
    for name in ("one.png", "all/a-1.png", "all/a-2.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    code, _, err = predict(capsys, run, *files, f"--save={tmp_path / 'one.png'}")
    assert code == 2
    assert "save must be a folder for 2 files" in err


def test_view_shows_the_hardest_clouds_of_a_run(run, points, tmp_path, capsys):
    options = ["--size=100", "--color=error", f"--save={tmp_path / 'hard.ply'}"]
    assert cli.main(["view", str(run), "--count=2", *options]) == 0
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["hard-1.ply", "hard-2.ply"]
    file = write(tmp_path / "scan.npy", points)
    argv = ["view", file, f"--model={run}", "--color=class", f"--save={tmp_path / 'a.html'}"]
    assert cli.main(argv) == 0
    assert "predicted class" in (tmp_path / "a.html").read_text()


def test_evaluate_prints_the_table_and_writes_beside_the_run(run, capsys):
    assert cli.main(["evaluate", str(run)]) == 0
    out = capsys.readouterr().out
    assert "one view, no voting" in out
    assert "overall accuracy" in out
    assert (run / "evaluation" / "confusion.png").is_file()


def test_evaluate_with_votes_other_data_and_folder(run, tmp_path, capsys):
    options = ["--votes=2", "--data.options.test_size=8", f"--out={tmp_path}", "--split=test"]
    assert cli.main(["evaluate", str(run / "model"), *options]) == 0
    stored = json.loads((tmp_path / "evaluation.json").read_text())
    assert "2 votes" in stored["protocol"]
    assert stored["clouds"] == 8


def test_evaluate_outside_a_run_needs_a_data_set(run, tmp_path, capsys):
    folder = tmp_path / "a" / "b" / "model"
    folder.mkdir(parents=True)
    for file in (run / "model").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    assert cli.main(["evaluate", str(folder)]) == 2
    assert "data.name must be given" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "command must be one of .*Did you mean 'train'"),
        (["train"], "recipe must be given: one of"),
        (["train", "shapes/pcm_nona"], "Did you mean 'shapes/pcm_nano'"),
        (["train", "gone.yaml"], "recipe gone.yaml must be a file"),
        (["train", "shapes/pcm_nano", "--data.rot=x"], "Did you mean '--data.root'"),
        (["train", "shapes/pcm_nano", "--seed=x"], '"seed"'),
        (["train", "shapes/pcm_nano", "--data.batch_size=0"], "data.batch_size must be"),
        (["train", "shapes/pcm_nano", "--model.name=pcm_nona"], "Did you mean 'pcm_nano'"),
        (["train", "shapes/pcm_nano", "--model.overrides.widht=3"], "option of pcm_nano"),
        (["train", "shapes/pcm_nano", "--data.name=shaps"], "Did you mean 'shapes'"),
        (["train", "modelnet40/pcm_nano", "--data.root=nowhere"], "nowhere"),
        (["train", "--resume=nowhere"], "resume must be the folder of a run, found none in"),
        (["evaluate", "nowhere"], "must be the folder of a run or of a saved model"),
        (["predict", "nowhere", "a.ply"], "must be the folder of a run or of a saved model"),
        (["predict"], "arguments are required"),
        (["data", "check"], "name must be given"),
        (["data", "check", "shaps"], "Did you mean 'shapes'"),
        (["data", "check", "modelnet40", "nowhere"], "nowhere"),
        (["data", "chek", "shapes"], "chek"),
    ],
)
def test_misuse_gives_one_line_and_code_2(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(message, err), err


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("PCMAMBA_DEBUG", "1")
    with pytest.raises(ValueError, match="command must be one of"):
        cli.main(["trian"])


def test_a_used_folder_is_refused_and_resume_says_it_is_done(run, capsys):
    argv = ["train", "shapes/pcm_nano", f"--out={run}", *TINY]
    assert cli.main(argv) == 2
    assert "--resume" in capsys.readouterr().err
    weights = (run / "model" / "model.safetensors").read_bytes()
    assert cli.main(["train", f"--resume={run}"]) == 0
    assert (run / "model" / "model.safetensors").read_bytes() == weights


def test_resume_tells_what_was_changed(run, capsys):
    cli.main(["train", f"--resume={run}", "--trainer.log_every_n_steps=7"])
    said = "changed since the run began, so not its exact continuation"
    assert f"{said}: trainer.log_every_n_steps: 10 -> 7" in capsys.readouterr().out


def test_lists(capsys):
    assert cli.main(["models"]) == 0
    assert "pcm_tiny       6,950,656 parameters" in capsys.readouterr().out
    assert cli.main(["data", "list"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]} == set(DATASETS)
    assert cli.main(["data", "check", "shapes", "--options={train_size: 32}"]) == 0
    assert "synthetic" in capsys.readouterr().out


def test_models_with_their_cost(capsys):
    assert cli.main(["models", "--cost", "--num_points=256"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("million multiply-adds for one cloud of 256 points")
    small = next(line for line in lines if line.startswith("mamba3d_small")).split()
    assert small[1] == "889,320"
    figures = [float(text.replace(",", "")) for text in small[2:]]
    assert sum(figures[:4]) == pytest.approx(figures[4], abs=0.3)


def test_help_does_not_import_torch():
    code = "import sys; from pcmamba import cli; cli.main(['models', '--help'])"
    watched = f"import atexit, sys; atexit.register(lambda: print('torch' in sys.modules)); {code}"
    out = subprocess.run(
        [sys.executable, "-c", watched], capture_output=True, text=True, cwd="/", check=True
    ).stdout
    assert out.splitlines()[0].startswith("usage: pcmamba")
    assert out.splitlines()[-1] == "False"


def test_data_from_check_to_speed(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PCMAMBA_CACHE", str(tmp_path / "cache"))
    root = str(tmp_path / "data")
    DATASETS["folder"].make_fake(root)
    assert cli.main(["data", "check", "folder", root]) == 0
    assert "duplicates              ok" in capsys.readouterr().out
    for word in ("wrote", "already in"):
        assert cli.main(["data", "prepare", "folder", root]) == 0
        assert capsys.readouterr().out.startswith(word)
    picture = tmp_path / "sheet.png"
    assert cli.main(["data", "show", "folder", root, f"--out={picture}", "--per_class=2"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    small = ["--num_points=64", "--batch_size=4", "--device=cpu"]
    assert cli.main(["data", "speed", "folder", root, *small]) == 0
    assert "clouds/s" in capsys.readouterr().out
    assert cli.main(["data", "list", str(tmp_path)]) == 0
    assert "missing: https://modelnet" in capsys.readouterr().out


def test_check_ends_with_1_on_a_fault(tmp_path, capsys):
    DATASETS["folder"].make_fake(str(tmp_path))
    (tmp_path / "box" / "box_4.xyz").write_text("0 0 nan\n1 1 1\n")
    assert cli.main(["data", "check", "folder", str(tmp_path)]) == 1
    assert "FAULT" in capsys.readouterr().out


def test_data_of_event_sets(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PCMAMBA_CACHE", str(tmp_path / "cache"))
    DATASETS["paf"].make_fake(str(tmp_path / "data" / "PAF"))
    root, options = str(tmp_path / "data"), "--options={strict: false}"
    assert cli.main(["data", "check", "paf", root, options]) == 0
    said = capsys.readouterr().out
    assert "1 in train" not in said and "no person on both sides" in said
    assert "people or other groups" in said and "licence: not stated" in said
    assert cli.main(["data", "prepare", "paf", root, options]) == 0
    picture = tmp_path / "strips.png"
    assert cli.main(["data", "show", "paf", root, options, f"--out={picture}"]) == 0
    assert picture.stat().st_size > 10_000
    assert cli.main(["data", "list", root]) == 0
    assert str(tmp_path / "data" / "PAF") in capsys.readouterr().out
    [path] = (tmp_path / "data" / "PAF" / "kicking").glob("2_*.aedat")
    path.write_bytes(path.read_bytes()[:-3])
    assert cli.main(["data", "check", "paf", root, options]) == 1
    assert "1 recordings cannot be read, first kicking/2_3.1" in capsys.readouterr().out
