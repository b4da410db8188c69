"""The templates of docs/extending.md, installed as a package of somebody else, are full members."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
TEMPLATES = dict(FILE.findall((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")))
MOST_LINES = 45  # that are not blank


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on the path with the templates as an installed package."""
    site = tmp_path_factory.mktemp("site")
    for name, text in TEMPLATES.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (site / "my_package" / "__init__.py").touch()
    facts = site / "my_package-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[metarl.plugins]\nmy_package = my_package\n")
    return site


def python(site: Path, here: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Python in an empty folder with the package installed."""
    paths = os.pathsep.join([str(ROOT), str(site)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=here,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def metarl(site: Path, here: Path, *arguments: str) -> str:
    done = python(site, here, "-m", "metarl_cli.cli", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_templates_are_short() -> None:
    for name, text in TEMPLATES.items():
        assert sum(bool(line.strip()) for line in text.splitlines()) <= MOST_LINES, name


def test_list_and_help_show_the_plugin(site: Path, tmp_path: Path) -> None:
    shown = metarl(site, tmp_path, "list", "envs", "algos")
    assert re.search(r"corridor +A corridor with a prize at one end", shown)
    assert re.search(r"reinforce +REINFORCE, one policy", shown)
    assert "end in [-1, 1]" in metarl(site, tmp_path, "list", "env=corridor")
    helped = metarl(site, tmp_path, "train", "--help")
    assert re.search(r"^env: [^:]*\bcorridor\b", helped, re.MULTILINE)
    assert re.search(r"^algo: [^:]*\breinforce\b", helped, re.MULTILINE)


def test_plugin_trains_beside_ours_and_is_evaluated_without_naming_it(
    site: Path, tmp_path: Path
) -> None:
    small = ["budget=smoke", "threads=1", "logger=[jsonl]", "meta_test.envs_per_task=1"]
    metarl(site, tmp_path, "train", "env=corridor", "algo=reinforce", *small)
    assert "Adaptation" in metarl(site, tmp_path, "eval", "checkpoint=latest")
    ours = ["algo.num_tasks=2", "algo.envs_per_task=1", "algo.ppo.num_minibatches=1"]
    metarl(site, tmp_path, "train", "env=corridor", "algo=multitask_ppo", *ours, *small)


def test_what_an_algorithm_refuses_is_one_line(site: Path, tmp_path: Path) -> None:
    call = ["-m", "metarl_cli.cli", "train", "env=point_nav", "algo=reinforce"]
    done = python(site, tmp_path, *call)
    assert done.returncode == 2
    assert "Reinforce needs discrete actions" in done.stderr
    assert done.stderr.count("\n") == 1


def test_gymnasium_makes_the_plugins_environment(site: Path, tmp_path: Path) -> None:
    program = (
        "import gymnasium, metarl_cli.gym\n"
        "env = gymnasium.make('metarl/Corridor-v0', half_length=2)\n"
        "env.reset(seed=0)\n"
        "print(env.step(1)[0])\n"
        "print(gymnasium.make_vec('metarl/Corridor-v0', num_envs=3).reset(seed=0)[0].shape)\n"
    )
    done = python(site, tmp_path, "-c", program)
    assert done.stdout.splitlines() == ["[0.5]", "(3, 1)"], done.stderr


def test_contract_tests_cover_the_plugin(site: Path, tmp_path: Path) -> None:
    call = ["-m", "pytest", "-q", "--pyargs", "metarl_cli.testing", "-k"]
    done = python(site, tmp_path, *call, "corridor or reinforce", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed >= 30, done.stdout


def test_without_the_entry_point_its_classes_stay_foreign(site: Path, tmp_path: Path) -> None:
    call = ["-m", "metarl_cli.cli", "train", f"--config-dir={site}/my_package/conf", "env=corridor"]
    program = "import importlib.metadata as m; m.entry_points = lambda **_: []\n"
    program += f"import sys; sys.argv = ['metarl', *{call[2:]!r}]\n"
    program += "from metarl_cli.cli import run; run()"
    done = python(site, tmp_path, "-c", program)
    assert done.returncode == 2
    assert "plugins=[my_package]" in done.stderr
