"""What is typed as for other programs is answered with the line to type, which then works."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from metarl_cli.commands.words.corrections import corrected
from metarl_cli.config.check import check
from metarl_cli.config.compose import compose

TELLS = "settings are written key=value; type: metarl "


def answer(line: str) -> str:
    command, *words = shlex.split(line)
    return corrected(command, command, words)


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("eval latest", "eval checkpoint=latest"),
        ("eval --checkpoint R", "eval checkpoint=R"),
        ("eval --checkpoint 'my run'", "eval 'checkpoint='\"'\"'my run'\"'\"''"),
        (
            "eval outputs/nowhere --n_test_tasks 9",
            "eval checkpoint=outputs/nowhere env.tasks.num_test=9",
        ),
        ("film best task=1", "film checkpoint=best task=1"),
        ("train --env cheetah_vel --algo MAML", "train env=cheetah_vel algo=maml"),
        ("train --env=point-nav", "train env=point_nav"),
        ("train --seed 3", "train seed=3"),
        ("train --seed=3 -m", "train seed=3 -m"),
        ("train seed 3", "train seed=3"),
        ("train seed = 3", "train seed=3"),
        ("train cheetah_vel maml", "train env=cheetah_vel algo=maml"),
        ("train latest", "train resume=latest"),
        ("train resume latest", "train resume=latest"),
        ("train --algo rl2 --lr 3e-4", "train algo=rl2 algo.ppo.learning_rate=3e-4"),
        ("train --lr 3e-4 --algo varibad", "train algo.ppo.learning_rate=3e-4 algo=varibad"),
        ("train --lr 3e-4", "train algo.inner.step_size=3e-4"),
        ("train --total-timesteps 1000 --cuda", "train budget.env_steps=1000 device=cuda"),
        ("train --track", "train logger.wandb.mode=auto"),
        ("train --logger jsonl", "train 'logger=[jsonl]'"),
        ("bench point_nav maml", "bench env=point_nav algo=maml"),
    ],
)
def test_line_to_type_is_told(typed: str, right: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert answer(typed) == TELLS + right
    command, *words = shlex.split(right)
    if command == "train" and "resume=latest" not in words and "-m" not in words:
        check(compose("train", words))


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (
            "train cheetah",
            "cannot read 'cheetah': settings are written key=value. Did you mean env=",
        ),
        ("train --env cheeta_vel", "there is no env=cheeta_vel. Did you mean cheetah_vel?"),
        ("train --sed 3", "unknown key sed. Did you mean seed?"),
        (
            "train --n_seeds 3",
            "unknown key n_seeds. Did you mean seed? Several seeds are a sweep: -m",
        ),
    ],
)
def test_what_no_line_can_mend_gets_a_hint(typed: str, line: str) -> None:
    assert answer(typed).startswith(line)
    assert "\n" not in answer(typed)
