"""The command line as a user meets it: real processes, few of them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from omegaconf import DictConfig

from metarl_cli.cli import main, report, rewrite_run_settings
from metarl_cli.config.run import run_hydra
from metarl_cli.config.schema import BenchConfig
from metarl_cli.core.errors import NonFiniteError, UserError

Run = Callable[..., CompletedProcess]
OWN = ["checkpoint", "overrides", "meta_test"]


def test_help_is_quick_and_imports_nothing_heavy(metarl: Run) -> None:
    start = time.perf_counter()
    done = metarl("--help", PYTHONPROFILEIMPORTTIME="1")
    elapsed_s = time.perf_counter() - start
    assert done.returncode == 0
    for command in ("train", "eval", "film", "bench", "list", "doctor", "completion"):
        assert f"\n  {command}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "wandb", "mujoco", "hydra", "numpy", "rich"}
    assert elapsed_s < 2.0  # 0.1 s on an idle machine


def test_help_offers_the_groups_that_can_be_chosen_and_shows_what_would_run(metarl: Run) -> None:
    shown = metarl("train", "experiment=maml/point_nav", "budget=smoke", "--help").stdout
    groups = [line.partition(":")[0] for line in shown.splitlines() if ": " in line]
    assert {"algo", "budget", "env", "logger", "network", "experiment/maml"} <= set(groups)
    assert not {"learner", "robot", "tasks"} & set(groups)
    assert "  budget.env_steps=1 " in shown
    assert "training stops after the iteration that" in shown
    assert "alpha; the published checkpoint's" in shown  # a comment of the experiment's
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["trian"], "there is no command trian. Did you mean train?"),
        (["env=point_nav"], "e.g. metarl train env=point_nav"),
        (["eval", "checkpoint=x", "+seed=1"], "drop the +"),
        (["list", "algoz"], "cannot list algoz. Did you mean algos?"),
        (["list", "env=pointnav"], "there is no env=pointnav. Did you mean point_nav?"),
        (["list", "algo=MAML"], "there is no algo=MAML. Did you mean maml?"),
        (["resume", "latest"], "type: metarl train resume=latest"),
        (["eval", "latest"], "type: metarl eval checkpoint=latest"),
        (["train", "--env", "nav2d", "--algo", "rl2"], "type: metarl train env=nav2d algo=rl2"),
        (["train", "--package", "env=nav2d"], "--package takes a value, not env=nav2d"),
        (["train", "--package", "env"], "add --cfg job"),
        (["train", "--cfg"], "--cfg takes a value"),
        (["doctor", "now"], "metarl doctor takes no now"),
        (["completion", "instal"], "there is no instal. Did you mean install?"),
        (["completion", "install", "tcsh"], "completion is for bash, zsh, fish"),
    ],
)
def test_wrong_word_is_one_line_and_exit_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["train", "env=point_nv"], "there is no env=point_nv. Did you mean point_nav?"),
        (["train", "env.horizn=3"], "Did you mean env.horizon?"),
        (["train", "+foo=1"], "unknown key foo"),
        (["train", "algo.inner.step_size=abc"], "algo.inner.step_size must be a number"),
        (["eval"], "checkpoint has no value"),
        (["eval", "checkpoint=nowhere", "env.tasks.test_seed=123"], "nowhere"),
    ],
)
def test_wrong_setting_is_one_line_exit_2_and_leaves_no_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
    arguments: list[str],
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["metarl"])  # rewritten on its way to Hydra
    assert main(arguments) == 2
    assert_one_line(capfd.readouterr().err, line, tmp_path)


def test_wrong_setting_is_one_line_of_the_whole_process(metarl: Run, tmp_path: Path) -> None:
    done = metarl("train", "env=point_nv")
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert_one_line(done.stderr, "there is no env=point_nv. Did you mean point_nav?", tmp_path)


def assert_one_line(said: str, line: str, folder: Path) -> None:
    """All that was said is this, and nothing was left behind."""
    assert line in said
    assert said.startswith("metarl: ")
    assert said.count("\n") == 1
    assert list(folder.iterdir()) == []


LEAVING = """
import atexit, sys
from metarl_cli import cli
atexit.register(sys.stdout.write, "registered for the end\\n")
cli.main = lambda: sys.stdout.write("x" * 1_000_000 + "\\n") and {code}
cli.run()
"""


@pytest.mark.parametrize("code", [0, 1, 2, 75, 130])
def test_program_leaves_with_its_code_and_all_its_output_in_the_pipe(code: int) -> None:
    program = [sys.executable, "-c", LEAVING.format(code=code)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert done.stdout == "x" * 1_000_000 + "\nregistered for the end\n"


def test_output_that_cannot_be_written_is_one_line_and_exit_1() -> None:
    program = [sys.executable, "-m", "metarl_cli.cli", "--version"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


def test_sweep_reports_each_failed_job_and_exits_with_its_code(metarl: Run) -> None:
    done = metarl("train", "-m", "seed=-1,-2")
    assert done.returncode == 2
    assert "got -1" in done.stderr
    assert "got -2" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_folder_that_cannot_be_written_is_one_line(metarl: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = metarl("train", "hydra.run.dir=file/run")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_config_is_shown_without_running(metarl: Run, tmp_path: Path) -> None:
    done = metarl("train", "env=point_nav", "--cfg", "job")
    assert done.returncode == 0
    assert "metarl_cli.envs.points.point.PointNav" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_completion_offers_commands_and_options(metarl: Run) -> None:
    def query(line: str) -> list[str]:
        done = metarl("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
        return done.stdout.split()

    assert query("metarl tr") == ["train"]
    assert "env=point_nav" in query("metarl train env=poi")
    assert query("metarl list al") == ["algos", "algo="]
    assert query("metarl completion ") == ["install", "uninstall", "show"]


def test_settings_of_an_earlier_run_are_told_from_the_commands_own() -> None:
    typed = ["checkpoint=a=b", "meta_test.episodes=2", "env.tasks.num_test=5", "seed=1", "-m"]
    assert rewrite_run_settings([*typed, "hydra.run.dir=x"], OWN) == [
        "checkpoint=a=b",
        "meta_test.episodes=2",
        "++overrides.env.tasks.num_test=5",
        "++overrides.seed=1",
        "-m",
        "hydra.run.dir=x",
    ]


@pytest.mark.parametrize("argument", ["+seed=1", "++seed=1", "~seed"])
def test_settings_of_an_earlier_run_cannot_come_or_go(argument: str) -> None:
    with pytest.raises(UserError, match="can change, not come or go"):
        rewrite_run_settings([argument], OWN)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("two\nlines"), 2, "metarl: two lines\n"),
        (NonFiniteError("NaN in reward"), 1, "metarl: NaN in reward\n"),
        (OSError(errno.ENOSPC, "No space left", "a.pt"), 1, "metarl: No space left: a.pt\n"),
        (OSError(errno.EROFS, "Read-only", "a.pt"), 2, "metarl: Read-only: a.pt\n"),
    ],
)
def test_errors_have_codes_and_one_line(
    error: Exception, code: int, line: str, capsys: pytest.CaptureFixture
) -> None:
    assert report(error) == code
    assert capsys.readouterr().err == line


def test_list_shows_every_group_and_an_environment(capsys: pytest.CaptureFixture) -> None:
    assert main(["list"]) == 0
    assert main(["list", "env=point_nav"]) == 0
    shown = capsys.readouterr().out
    for text in ("point_nav", "maml", "mlp", "hidden task", "goal_x", "100 steps"):
        assert text in shown
    assert "reward minus the distance" in shown  # of the class's docstring
    assert "stand_still -38.26; oracle -0.51" in shown


def test_list_explains_what_an_option_sets(capsys: pytest.CaptureFixture) -> None:
    assert main(["list", "algo=promp", "experiment=promp/point_nav", "logger=jsonl"]) == 0
    shown = capsys.readouterr().out
    assert "algo=promp: ProMP: likelihood-ratio inner step" in shown
    assert "  algo.epochs=5 " in shown
    assert "Adam steps per iteration, on all samples" in shown
    preset = shown.partition("experiment=promp/point_nav: ProMP on MAML's 2D navigation\n")[2]
    assert "  env=point_nav\n" in preset
    assert "  algo.learning_rate=0.005 " in preset
    assert "algo.num_tasks" not in preset  # is not changed by the preset
    assert "logger.jsonl: " in preset
    assert max(map(len, shown.splitlines())) <= 80


def test_runs_are_listed_newest_first_with_their_last_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in ("old", "new"):
        folder = tmp_path / "outputs" / name
        folder.mkdir(parents=True)
        meta = {"env": "point_nav", "algo": "maml", "seed": 3, "status": "finished"}
        (folder / "meta.json").write_text(json.dumps(meta))
    long_ago = 1_000_000_000
    os.utime(tmp_path / "outputs/old/meta.json", (long_ago, long_ago))
    rows = [{"env_steps": 5, "eval/probe_0": -40.0, "eval/probe_1": -11.52}, {"env_steps": 9}]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "outputs/new/metrics.jsonl").write_text("\n".join(lines) + '\n{"torn')
    monkeypatch.chdir(tmp_path)
    assert main(["list", "runs"]) == 0
    new, old = capsys.readouterr().out.splitlines()[-2:]
    facts = ["point_nav", "maml", "3", "finished"]
    assert new.split() == ["outputs/new", *facts, "9", "-40.0", ">", "-11.5"]
    assert old.split() == ["outputs/old", *facts]


def sweep(codes: dict[int, int], ran: list[int]) -> int:
    """Sweep over seeds 0, 1, 2 with a command that returns these codes and notes what ran."""

    def command(cfg: DictConfig) -> int:
        ran.append(cfg.seed)
        return codes.get(cfg.seed, 0)

    arguments = ["-m", "env=point_nav", "seed=0,1,2"]
    return run_hydra("bench", arguments, schema=BenchConfig, command=command, report=report)


def test_failed_job_does_not_stop_a_sweep_but_an_interrupted_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["metarl"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    assert sweep({}, ran := []) == 0
    assert sweep({0: 1}, ran) == 1
    assert ran == [0, 1, 2, 0, 1, 2]
    with pytest.raises(SystemExit) as stopped:
        sweep({1: 130}, ran := [])
    assert stopped.value.code == 130
    assert ran == [0, 1]


def test_defect_inside_a_command_is_not_disguised_as_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(cfg: DictConfig) -> int:
        raise ValueError("a defect")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["metarl"])
    with pytest.raises(ValueError, match="a defect"):
        run_hydra("bench", [], schema=BenchConfig, command=command, report=report)
