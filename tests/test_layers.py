"""The architecture: who may import whom, which library lives where, how big things may get."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "metarl_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = ROOT / "tests"
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
    "sweeps": 6,
    "testing": 6,
}
TOP_LAYER = 6  # cli.py
FENCES = {
    "hydra": ("config/", "cli.py", "commands/", "sweeps/"),
    "omegaconf": ("config/", "cli.py", "commands/", "sweeps/", "testing/"),
    "wandb": ("loggers/wandb.py", "loggers/wandb_session.py", "loggers/wandb_media.py"),
    "tensorboardX": ("loggers/tensorboard.py",),
    "rich": ("loggers/console.py", "commands/", "sweeps/"),
    "mujoco": ("envs/",),
    "optuna": ("sweeps/tuning/",),
    "matplotlib": ("reports/",),
    "torch.distributed": ("core/distributed.py",),
}
# A name of ours in a string, as an entry point or a `_target_` is written
NAME_OF_OURS = re.compile(r"metarl_cli(\.\w+)+(:\w+)?")
NOT_IMPORTED = {  # looked for in the words of a command line
    "runtime/runs.py": {"metarl_cli.cli", "metarl_cli.sweeps.job"}
}
MAX_FILES = 16  # Python files in a folder
MAX_ROOMS = 12  # entries of envs/
# Files of ours outside core/ that one must read to know a method; never to be raised.
CLOSURES = {
    "algorithms/maml/maml.py": 10,
    "algorithms/maml/promp.py": 10,
    "algorithms/maml/maesn.py": 11,
    "algorithms/rl2.py": 10,
    "algorithms/varibad/varibad.py": 14,
    "algorithms/pearl/pearl.py": 12,
    "algorithms/import_/import_.py": 11,
    "algorithms/dream/dream.py": 13,
}
# Begin with an underscore, but are not private: of named tuples, of Hydra, of torch, of os
NAMES_OF_OTHERS = {
    "_replace",
    "_asdict",
    "_fields",
    "_target_",
    "_schema",
    "_make_wrapper_subclass",
    "_local_scalar_dense",
    "_to_copy",
    "_index_put_impl_",
    "_exit",
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


def names_in_strings(path: Path) -> Iterator[str]:
    """Dotted paths of ours that are written as text and imported by whoever reads it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and NAME_OF_OURS.fullmatch(text):
            yield text.replace(":", ".")


def file_of(name: str) -> Path | None:
    """The file of a dotted path of ours: a module, or something in one."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        stem = PACKAGE.joinpath(*parts[:length])
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None


def closure_of(path: Path) -> set[Path]:
    """The files of ours outside core/ that a module imports, and those that they import, and so on.

    Neither the module itself counts nor files that only make a folder a package.
    """
    found, waiting = set(), [path]
    while waiting:
        module = waiting.pop()
        if module in found or folder_of(module) == "core":
            continue
        found.add(module)
        ours = [name for name in imports_of(module) if name.startswith("metarl_cli.")]
        waiting += [file for name in ours if (file := file_of(name))]
    return {file for file in found if file.name != "__init__.py"} - {path}


def layer_of(folder: str) -> int:
    return TOP_LAYER if folder == "" else LAYERS[folder]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_imports_only_lower_layers_or_its_own_folder(path: Path) -> None:
    own = folder_of(path)
    named = set(names_in_strings(path)) - NOT_IMPORTED.get(name_of(path), set())
    for imported in [*imports_of(path), *named]:
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


def test_entry_points_name_functions_of_the_top_layer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["scripts"].values()]
    for group in project.get("entry-points", {}).values():
        named += group.values()
    for name in named:
        file = file_of(name.replace(":", "."))
        assert file is not None and layer_of(folder_of(file)) == TOP_LAYER, name
        assert f"def {name.rpartition(':')[2]}(" in file.read_text(encoding="utf-8"), name


def test_names_in_strings_are_found_and_lead_to_files() -> None:
    found = {name: file_of(name) for name in names_in_strings(PACKAGE / "command_list.py")}
    assert PACKAGE / "commands" / "train.py" in found.values()
    assert None not in found.values()


def test_fences_are_around_files_that_exist() -> None:
    for homes in FENCES.values():
        for home in homes:
            assert (PACKAGE / home).exists(), home


def test_folders_stay_small() -> None:
    for folder in {path.parent for path in MODULES}:
        assert len(list(folder.glob("*.py"))) <= MAX_FILES, folder
    rooms = [path for path in (PACKAGE / "envs").iterdir() if path.name != "__pycache__"]
    assert len(rooms) <= MAX_ROOMS


@pytest.mark.parametrize("method", CLOSURES)
def test_method_is_known_from_few_files(method: str) -> None:
    closure = closure_of(PACKAGE / method)
    assert len(closure) <= CLOSURES[method], sorted(map(name_of, closure))


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.stem)
def test_tests_use_nothing_private_of_other_files(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    used = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and re.match(r"_[a-z]", node.attr)
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        and node.attr not in {*own, *NAMES_OF_OTHERS}
    ]
    assert not used
