"""Nasty settings and typos on the command line: one line, exit code 2, never a traceback."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import torch
from helpers import typo
from omegaconf import DictConfig

from metarl_cli.cli import main
from metarl_cli.commands.parts.assemble import assemble
from metarl_cli.config.build import flatten
from metarl_cli.config.compose import compose

BASE = ["env=point_nav", "algo=maml", "logger=[jsonl]"]
NASTY = [
    *("seed=-1", "seed=1e30", "seed=abc", "seed=null", "seed=[1]", "seed={a:1}", "seed=nan"),
    *("seed=1.5", "seed=", "seed=''", "seed=true", "threads=-1", "threads=many", "threads=0.5"),
    *("device=gpu", "device=cuda:99", "device=null", "device=[cpu]", "plugins=[nonexistent]"),
    *("plugins=nonexistent", "plugins=['']", "plugins=[os.path.nowhere.else,no_such_thing]"),
    *("env=cheeta", "env=[point_nav,nav2d]", "env={a:1}", "env=../train", "env='a b'", "env=/"),
    *("algo=MAML2", "algo=1", "algo=null.yaml", "network=none_such", "budget=tiny"),
    *("experiment=nothing/at_all", "logger=[console,nothing]", "logger=[[jsonl]]"),
    *("budget.env_steps=0", "budget.env_steps=-5", "budget.env_steps=1.5", "budget.env_steps=inf"),
    *("budget.checkpoint_minutes=-1", "budget.checkpoint_minutes=soon", "budget.eval_every=null"),
    *("env.horizon=ten", "env.horizon=[10]", "env.tasks.mode=other", "env.tasks.num_test=0"),
    *("algo.inner.steps=two", "algo.trpo=3", "algo.trpo.max_kl=[0.01]", "algo.inner=null"),
    *("env._target_=os.system", "algo._target_=builtins.eval", "network._target_=null"),
    *("+foo=1", "++foo.bar=1", "~seed", "~nothing", "foo", "=", "=1", "a=b=c", "${x}", "seed=${x}"),
    *("seed=${oc.env:HOME}", "seed=?", "seed=???", "algo.num_tasks=1_0_", "@seed=1", "seed@x=1"),
]
HARMLESS = ["budget.eval_every=7", "env.horizon=10", "algo.num_tasks=3", "threads=1", "network=mlp"]


def put_together(cfg: DictConfig) -> int:
    """Build all parts of a run; some ranges are known to these alone."""
    assemble(cfg).require_room()
    return 0


@pytest.fixture(autouse=True)
def not_trained(here, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compose, check and put together; do not train."""
    threads = torch.get_num_threads()
    monkeypatch.setattr("metarl_cli.commands.train.run", put_together)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def here(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["metarl"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.delenv("METARL_DEBUG", raising=False)
    return tmp_path


def refused(settings: list[str], capsys: pytest.CaptureFixture) -> str:
    """The one line that a wrong request gets."""
    assert main(["train", *settings]) == 2, settings
    err = capsys.readouterr().err
    assert err.startswith("metarl: ") and err.count("\n") == 1, (settings, err)
    return err


def test_there_are_sixty_nasty_settings() -> None:
    assert len(set(NASTY)) == len(NASTY) >= 60


@pytest.mark.parametrize("nasty", NASTY[::4])
def test_nasty_setting_is_one_line_and_exit_2(nasty: str, capsys: pytest.CaptureFixture) -> None:
    refused([*BASE, nasty], capsys)


@pytest.mark.slow
def test_500_nasty_settings_among_others_are_one_line_and_exit_2(
    capsys: pytest.CaptureFixture,
) -> None:
    rng = random.Random(0)
    for i in range(500):
        nasty = NASTY[i % len(NASTY)]
        key = nasty.partition("=")[0]  # of one key the last setting counts, as in any command line
        others = [setting for setting in HARMLESS if setting.partition("=")[0] != key]
        settings = [nasty, *rng.sample(others, rng.randrange(3))]
        rng.shuffle(settings)
        refused([*BASE, *settings], capsys)


def test_harmless_settings_are_not_refused() -> None:
    assert main(["train", *BASE, *HARMLESS]) == 0


def share_of_right_hints(count: int, capsys: pytest.CaptureFixture) -> float:
    """Of typos in settings of six letters or more, how many are answered by the right word."""
    known = [key for key in flatten(compose("train", BASE)) if "_target_" not in key]
    words = [key for key in known if len(key.rpartition(".")[2]) >= 6]
    rng, right, total = random.Random(2), 0, 0
    while total < count:
        word = rng.choice(words)
        wrong = typo(word, rng, word.rfind(".") + 1)
        if wrong in known:
            continue
        total += 1
        right += f"Did you mean {word}?" in refused([*BASE, f"{wrong}=1"], capsys)
    return right / total


def test_typos_are_answered_by_what_was_meant(capsys: pytest.CaptureFixture) -> None:
    assert share_of_right_hints(6, capsys) == 1.0


@pytest.mark.slow
def test_at_least_98_percent_of_typos_are_answered_by_what_was_meant(
    capsys: pytest.CaptureFixture,
) -> None:
    assert share_of_right_hints(150, capsys) >= 0.98
