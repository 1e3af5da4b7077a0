"""Imports follow the arrows between the layers, and nothing imports a folder by its bare name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {"kernels": ROOT / "kernels", "ops": ROOT / "ops", "configs": ROOT / "configs"}

# What a layer may import besides itself. `registry` is a leaf below everything.
MAY_IMPORT = {
    "registry": set(),
    "kernels": set(),
    "configs": set(),
    "ops": {"kernels", "registry"},
    "nn": {"ops", "registry"},
    "models": {"nn", "ops", "registry"},
    "data": {"ops", "registry"},
    "viz": {"data", "ops", "registry"},
    "testing": {"registry", "ops", "data", "models"},
    "convert": {"models", "registry"},
    "train": {"data", "models", "nn", "ops", "registry", "configs", "viz"},
    "audit": {"models"},
    "cli": {"train", "data", "models", "viz", "registry", "convert", "audit"},
    "__init__": {"models", "ops", "data", "train", "registry", "convert"},
}


def layer_of(path: Path) -> str:
    for layer, folder in SOURCES.items():
        if path.is_relative_to(folder):
            return layer
    first = path.relative_to(ROOT / "pcmamba").parts[0]
    return first.removesuffix(".py")


def shipped_files() -> list[Path]:
    package = [
        path
        for path in (ROOT / "pcmamba").rglob("*.py")
        if not any(parent.is_symlink() for parent in path.parents)
    ]
    return package + [path for folder in SOURCES.values() for path in folder.rglob("*.py")]


def imported_layers(path: Path) -> set[str]:
    package = ["pcmamba", *_module(path).split(".")[:-1]]
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names += [f"{module}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in names if name.split(".")[0] == "pcmamba"]
    return {p[1] for p in parts if len(p) > 1 and p[1] in MAY_IMPORT}


def _module(path: Path) -> str:
    for layer, folder in SOURCES.items():
        if path.is_relative_to(folder):
            return ".".join([layer, *path.relative_to(folder).with_suffix("").parts])
    return ".".join(path.relative_to(ROOT / "pcmamba").with_suffix("").parts)


@pytest.mark.parametrize("path", shipped_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_arrows(path: Path) -> None:
    layer = layer_of(path)
    forbidden = imported_layers(path) - MAY_IMPORT[layer] - {layer}
    assert not forbidden, f"{layer} must not import {forbidden}"


def test_the_walk_sees_every_layer_and_a_wrong_import(tmp_path: Path) -> None:
    assert {layer_of(path) for path in shipped_files()} >= {"kernels", "ops", "nn", "models"}
    assert "ops" in imported_layers(ROOT / "pcmamba" / "nn" / "local_grouper.py")


def test_no_folder_is_imported_by_its_bare_name() -> None:
    bare = re.compile(r"^\s*(import|from) (ops|kernels|configs)\b", re.MULTILINE)
    scripts = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]
    offenders = [path for path in shipped_files() + scripts if bare.search(path.read_text())]
    assert not offenders
