from __future__ import annotations

import pytest
import torch

from pcmamba.train.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    newest_checkpoint,
    remove_leftovers,
    save_checkpoint,
)


def save(folder, step):
    return save_checkpoint(folder, step, {"weights": {"a": torch.full((1000,), float(step))}})


def test_the_newest_two_are_kept(tmp_path):
    for step in (5, 10, 15):
        save(tmp_path, step)
    assert [path.name for path in list_checkpoints(tmp_path)] == [
        "step_000000015.pt",
        "step_000000010.pt",
    ]
    state = newest_checkpoint(tmp_path)
    assert state["step"] == 15
    assert torch.equal(state["weights"]["a"], torch.full((1000,), 15.0))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied"])
def test_a_damaged_newest_file_is_named_and_passed_over(tmp_path, capsys, damage):
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[content.find(torch.full((4,), 2.0).numpy().tobytes())] ^= 1
    kept = {"truncated": len(content) // 2, "flipped": len(content), "emptied": 0}[damage]
    path.write_bytes(bytes(content[:kept]))
    assert newest_checkpoint(tmp_path)["step"] == 1
    assert "passed over" in (said := capsys.readouterr().err)
    assert "step_000000002.pt must be" in said


def test_only_damaged_files_are_an_error(tmp_path):
    save(tmp_path, 2).write_bytes(b"PK")
    with pytest.raises(ValueError, match="must hold a whole checkpoint, got 1 damaged"):
        newest_checkpoint(tmp_path)


def test_no_checkpoint_is_none(tmp_path):
    assert newest_checkpoint(tmp_path) is None


def test_a_file_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "step_000000001.pt"
    torch.save({"format_version": 1, "print": print}, path)
    with pytest.raises(ValueError, match="must be a whole checkpoint"):
        load_checkpoint(path)


def test_a_later_format_is_refused(tmp_path):
    path = tmp_path / "step_000000001.pt"
    torch.save({"format_version": 99}, path)
    with pytest.raises(ValueError, match="update pcmamba"):
        load_checkpoint(path)


def test_half_written_files_are_neither_found_nor_kept(tmp_path):
    (tmp_path / ".step_000000009.pt.123").write_bytes(b"half")
    assert newest_checkpoint(tmp_path) is None
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []
