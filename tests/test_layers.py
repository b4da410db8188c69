"""The architecture: who may import whom, which library lives where, how big things may get."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "metarl_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))
LAYERS = {
    "core": 0,
    "functional": 1,
    "networks": 2,
    "buffers": 2,
    "envs": 2,
    "loggers": 2,
    "learners": 3,
    "rollouts": 3,
    "algorithms": 4,
    "runtime": 4,
    "reports": 5,  # of runs, which they read through runtime/run_record.py
    "config": 6,
    "commands": 6,
}
TOP_LAYER = 6  # cli.py
FENCES = {
    "hydra": ("config/", "cli.py", "commands/"),
    "omegaconf": ("config/", "cli.py", "commands/"),
    "wandb": ("loggers/wandb.py",),
    "rich": ("loggers/console.py", "commands/"),
    "mujoco": ("envs/", "runtime/video.py"),
    "matplotlib": ("reports/",),
    "torch.distributed": ("core/distributed.py",),
}
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_CLASS_LINES = 200


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def folder_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(folder: str) -> int:
    return TOP_LAYER if folder == "" else LAYERS[folder]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_imports_only_lower_layers_or_its_own_folder(path: Path) -> None:
    own = folder_of(path)
    for imported in imports_of(path):
        if not imported.startswith("metarl_cli."):
            continue
        part = imported.split(".")[1]
        other = part if (PACKAGE / part).is_dir() else ""
        top_layer = layer_of(own) == layer_of(other) == TOP_LAYER
        assert other == own or layer_of(other) < layer_of(own) or top_layer, imported


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_libraries_stay_behind_their_fences(path: Path) -> None:
    for imported in imports_of(path):
        for library, homes in FENCES.items():
            if imported == library or imported.startswith(f"{library}."):
                assert name_of(path).startswith(homes), f"{imported} in {name_of(path)}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_classes_and_functions_stay_small(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(source)):
        limits = {ast.ClassDef: MAX_CLASS_LINES, ast.FunctionDef: MAX_FUNCTION_LINES}
        limit = limits.get(type(node))
        if limit is not None:
            assert node.end_lineno - node.lineno < limit, node.name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_prints_and_nothing_is_called_utils(path: Path) -> None:
    calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
    assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
    assert path.stem not in ("utils", "misc", "common", "helpers")
