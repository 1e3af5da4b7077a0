"""`pcmamba view`: files, sets, truth beside prediction, and where each goes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from pcmamba import cli
from pcmamba.data.readers import read_points
from pcmamba.data.structures import PointCloud
from pcmamba.data.writers import write_ply
from pcmamba.viz.palette import LABELS, WRONG

SHAPES = ["--data.name=shapes", "--data.options={test_size: 16, num_points: 128}", "--size=120"]
XYZ = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)


def labelled(path, labels):
    write_ply(path, PointCloud(xyz=XYZ, labels=labels), class_names=("leg", "top"))
    return str(path)


def colours(path):
    return {tuple(c) for c in np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3).tolist()}


def test_a_file_is_seen_by_its_parts(tmp_path, capsys):
    file = labelled(tmp_path / "a.ply", np.arange(100) % 2)
    target = tmp_path / "a.png"
    assert cli.main(["view", file, f"--save={target}", "--size=150"]) == 0
    assert capsys.readouterr().out == f"wrote {target}\n"
    assert {tuple(LABELS[0].tolist()), tuple(LABELS[1].tolist())} <= colours(target)


def test_truth_is_compared_with_the_labels_of_the_file(tmp_path, capsys):
    file = labelled(tmp_path / "a.ply", np.arange(100) % 2)
    truth = labelled(tmp_path / "b.ply", np.arange(100) % 4 // 2)
    argv = ["view", file, f"--truth={truth}", "--color=error", "--size=150"]
    assert cli.main([*argv, f"--save={tmp_path / 'a.png'}"]) == 0
    assert tuple(WRONG[0].tolist()) in colours(tmp_path / "a.png")
    assert cli.main([*argv, f"--save={tmp_path / 'c.ply'}"]) == 0
    cloud = read_points(tmp_path / "c.ply")
    assert (cloud.labels != cloud.attributes["predicted"]).mean() == 0.5
    assert ((cloud.colors == WRONG[0]).all(axis=1)).mean() == 0.5


def test_clouds_of_a_set_are_numbered_files_or_one_page(tmp_path, capsys):
    argv = ["view", *SHAPES, "--index", "0", "3", "--color=sequence", "--order=cts-xyz"]
    assert cli.main([*argv, f"--save={tmp_path / 'a.png'}"]) == 0
    assert cli.main([*argv, f"--save={tmp_path / 'a.html'}"]) == 0
    names = ["a-1.png", "a-2.png", "a.html"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert capsys.readouterr().out == "".join(f"wrote {tmp_path / name}\n" for name in names)


def test_random_clouds_follow_the_seed(tmp_path):
    argv = ["view", *SHAPES, "--pick=random", "--count=1"]
    for seed, name in ((1, "a"), (1, "b"), (2, "c")):
        assert cli.main([*argv, f"--seed={seed}", f"--save={tmp_path / name}.ply"]) == 0
    a, b, c = ((tmp_path / f"{name}.ply").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "target must be given: a file, a run, or --data.name NAME"),
        (["a.ply", "--save=a.bmp"], "save must end in one of .png, .ply, .html, .gif, .mp4"),
        (["gone.ply", "--save=a.png"], "path must be an existing file, got gone.ply"),
        (["a.ply", *SHAPES], "target must not be given with data.name"),
        ([*SHAPES, "--index=16", "--save=a.png"], "index must be 0 to 15, got 16"),
        ([*SHAPES, "--pick=hardest", "--save=a.png"], "pick must be random or first without"),
        ([*SHAPES, "--count=0", "--save=a.png"], "count and among must be at least 1"),
        ([*SHAPES, "--color=error", "--save=a.png"], "needs truth and prediction"),
        ([*SHAPES, "--order=hilbrt", "--color=sequence", "--save=a.png"], "Did you mean 'hilbert'"),
    ],
)
def test_misuse_gives_one_line_and_code_2(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["view", *argv]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(message, err), err
    assert list(tmp_path.iterdir()) == []
