"""The package list matches the tree, and a built wheel installs and imports on its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages_on_disk() -> set[str]:
    def below(folder: Path, name: str) -> set[str]:
        found = {name} if (folder / "__init__.py").is_file() else set()
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.is_symlink() and child.name != "__pycache__":
                found |= below(child, f"{name}.{child.name}")
        return found

    mapped = SETTINGS["tool"]["setuptools"]["package-dir"]
    tops = {name: folder for name, folder in mapped.items() if name.count(".") < 2}
    return set().union(*(below(ROOT / folder, name) for name, folder in tops.items()))


def test_package_list_matches_the_tree() -> None:
    assert set(SETTINGS["tool"]["setuptools"]["packages"]) == packages_on_disk()


def test_every_mapped_folder_is_linked_into_the_package() -> None:
    for name in ("ops", "kernels", "configs"):
        link = ROOT / "pcmamba" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / name


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, cwd=folder)
    return next(folder.glob("pcmamba-*.whl"))


def test_wheel_holds_every_source_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        "pcmamba": ROOT / "pcmamba",
        **{f"pcmamba/{name}": ROOT / name for name in ("ops", "kernels", "configs")},
    }
    for prefix, folder in sources.items():
        for pattern in ("*.py", "*.yaml", "*.cu", "*.cuh", "templates/*"):
            for path in folder.rglob(pattern):
                if any(parent.is_symlink() for parent in path.parents):
                    continue
                assert f"{prefix}/{path.relative_to(folder)}" in names
    assert "pcmamba/py.typed" in names
    assert not [name for name in names if name.startswith(("ops/", "kernels/", "tests/"))]


def test_wheel_imports_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    # The dependencies come from this environment, but not its editable pcmamba: a plain path in
    # a .pth file does not run the hooks of the folder it names.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    names = SETTINGS["tool"]["setuptools"]["packages"]
    script = (
        "import importlib, pcmamba, sys\n"
        f"for name in {sorted(names)!r}:\n    importlib.import_module(name)\n"
        "print(pcmamba.ops.__file__)"
    )
    result = subprocess.run(
        [python, "-c", script], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).is_relative_to(site)
