from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from metarl_cli.commands.parts.assemble import assemble
from metarl_cli.commands.parts.frozen import settings_of
from metarl_cli.config.compose import compose
from metarl_cli.core.errors import NonFiniteError, RunError
from metarl_cli.core.paths import conf_dir
from metarl_cli.loggers.jsonl import read_rows
from metarl_cli.runtime.run_record import RunRecord
from metarl_cli.runtime.signals import Interrupted, Interruption

ALGOS = sorted(path.stem for path in (conf_dir() / "algo").glob("*.yaml"))
REFERENCE = Path(__file__).resolve().parents[2] / "outputs" / "reference"
Make = Callable[..., Any]


def train(run: Any) -> None:
    with Interruption() as interruption:
        run.trainer.run(interruption)


def after_row(run: Any, row: int, act: Callable[[], Any]) -> None:
    """Do something when the record has got its row number `row`."""
    write = run.record.log

    def log(metrics: Any, step: int) -> None:
        write(metrics, step)
        if metrics["iteration"] == row:
            act()

    run.record.log = log


def stop() -> None:
    """Ask this process to stop."""
    signal.raise_signal(signal.SIGTERM)


def signal_in_rollout(run: Any, episode: int) -> None:
    """Send a signal before the training episode with this number, counted from 1."""
    roll, count = run.trainer.sampler.run, 0

    def counting(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        result = roll(*args, **kwargs)
        if count == episode:
            signal.raise_signal(signal.SIGUSR1)
        return result

    run.trainer.sampler.run = counting


def signal_in_update(run: Any) -> None:
    """Send a signal when experience is sampled the next time: new one has been added then."""
    kept = next(iter(run.parts.algorithm.experience().values()))
    sample = kept.sample

    def signalling(*args: Any) -> Any:
        signal.raise_signal(signal.SIGUSR1)
        return sample(*args)

    kept.sample = signalling


def train_until(run: Any, row: int) -> None:
    """Train until that row is written or there is nothing left to train, then leave by a signal."""
    after_row(run, row, stop)
    with contextlib.suppress(Interrupted):
        train(run)


QUICK = {
    "ppo": ["algo.ppo.epochs=2", "algo.ppo.num_minibatches=2"],
    "pearl": [
        *("algo.collection.warmup_steps=0", "algo.gradient_steps=2", "algo.meta_batch=2"),
        *("algo.batch=8", "algo.context_batch=8", "algo.replay_capacity=1000"),
    ],
    "dream": [
        *("env=gridnavi", "algo.q_learning.min_trials=6", "algo.q_learning.updates=2"),
        *("algo.q_learning.batch=4", "algo.q_learning.buffer_trials=20"),
    ],
}


@pytest.mark.parametrize("algo", ALGOS)
def test_resumed_run_is_bit_identical_to_an_uninterrupted_one(
    tmp_path: Path, tiny_run: Make, algo: str
) -> None:
    has_ppo = "ppo" in compose("train", [f"algo={algo}"]).algo
    settings = [algo, *QUICK.get(algo, QUICK["ppo"] if has_ppo else [])]
    whole = tiny_run(tmp_path / "whole", *settings, env_steps=10**9)
    train_until(whole, row=6)
    first = tiny_run(tmp_path / "parts", *settings, env_steps=10**9)
    train_until(first, row=3)
    assert len(first.rows()) == (1 if algo == "scratch_ppo" else 3)  # which never meta-trains
    second = tiny_run(tmp_path / "parts", *settings, env_steps=10**9, resume=True)
    train_until(second, row=6)
    assert second.rows() == whole.rows()
    assert second.last() == whole.last()
    assert len(whole.rows()) == (1 if algo == "scratch_ppo" else 6)


@pytest.mark.parametrize("episode", [1, 6])
def test_interrupted_iteration_is_taken_back_to_the_last_boundary(
    tmp_path: Path, tiny_run: Make, episode: int
) -> None:
    whole = tiny_run(tmp_path / "whole", checkpoint_every=10_000)
    train(whole)
    first = tiny_run(tmp_path / "parts", checkpoint_every=10_000)
    signal_in_rollout(first, episode)
    with pytest.raises(Interrupted):
        train(first)
    finished_iterations = (episode - 1) // 2
    manifest = first.store.manifests()[-1]
    assert manifest.iteration == finished_iterations
    assert manifest.env_steps == 120 * finished_iterations
    assert len(first.rows()) == finished_iterations
    second = tiny_run(tmp_path / "parts", checkpoint_every=10_000, resume=True)
    train(second)
    assert second.rows() == whole.rows()
    assert second.last() == whole.last()


@pytest.mark.parametrize("algo", ["varibad", "pearl", "dream"])
def test_experience_of_an_interrupted_iteration_is_taken_back(
    tmp_path: Path, tiny_run: Make, algo: str
) -> None:
    # The rings are full: the interrupted iteration writes over what the one before has stored.
    small = {
        "varibad": ["algo.episodes=2", "algo.elbo.learner.buffer_trials=5"],
        "pearl": ["algo.replay_capacity=50", "algo.collection.warmup_steps=0"],
        "dream": ["algo.q_learning.buffer_trials=6"],
    }[algo]
    settings = [algo, *QUICK.get(algo, QUICK["ppo"]), *small]
    whole = tiny_run(tmp_path / "whole", *settings, env_steps=10**9)
    train_until(whole, row=4)
    first = tiny_run(tmp_path / "parts", *settings, env_steps=10**9)
    after_row(first, 2, lambda: signal_in_update(first))
    with pytest.raises(Interrupted):
        train(first)
    assert len(first.rows()) == 2
    second = tiny_run(tmp_path / "parts", *settings, env_steps=10**9, resume=True)
    train_until(second, row=4)
    assert second.rows() == whole.rows()
    assert second.last() == whole.last()


def test_rows_after_the_last_checkpoint_of_a_killed_run_are_written_again(
    tmp_path: Path, tiny_run: Make
) -> None:
    whole = tiny_run(tmp_path / "whole")
    train(whole)
    killed = tiny_run(tmp_path / "parts", eval_every=10**6, checkpoint_every=10**6)
    after_row(killed, 4, sys.exit)
    with pytest.raises(SystemExit):
        train(killed)
    assert [m.iteration for m in killed.store.manifests()] == [1]
    assert len(killed.rows()) == 4
    resumed = tiny_run(tmp_path / "parts", resume=True)
    train(resumed)
    assert [row["iteration"] for row in resumed.rows()] == [1, 2, 3, 4, 5, 6]
    assert resumed.rows()[-1] == whole.rows()[-1]


def test_interruption_writes_no_second_checkpoint_of_the_same_iteration(
    tmp_path: Path, tiny_run: Make
) -> None:
    run = tiny_run(tmp_path / "run")
    after_row(run, 1, stop)  # its checkpoint is being written, as the first and best
    with pytest.raises(Interrupted):
        train(run)
    assert [m.iteration for m in run.store.manifests()] == [1]
    assert run.store.load(run.store.best())["progress"]["iteration"] == 1


def test_nan_in_a_metric_stops_the_run_and_is_not_saved(tmp_path: Path, tiny_run: Make) -> None:
    run = tiny_run(tmp_path / "run")
    step = run.trainer.algorithm.train_step

    def broken(sampler: Any) -> dict[str, float]:
        metrics = step(sampler)
        return metrics | ({"loss/policy": math.nan} if run.trainer.progress.iteration == 2 else {})

    run.trainer.algorithm.train_step = broken
    with pytest.raises(NonFiniteError, match="loss/policy is nan in iteration 3"):
        train(run)
    assert run.store.manifests()[-1].iteration == 2
    assert len(run.rows()) == 2


def test_infinite_parameter_stops_the_run_and_is_not_saved(tmp_path: Path, tiny_run: Make) -> None:
    run = tiny_run(tmp_path / "run", "multitask_ppo", env_steps=300)
    step = run.trainer.algorithm.train_step

    def broken(sampler: Any) -> dict[str, float]:
        metrics = step(sampler)
        next(run.trainer.algorithm.model.parameters()).data.view(-1)[0] = math.inf
        return metrics

    run.trainer.algorithm.train_step = broken
    with pytest.raises(NonFiniteError, match="model has NaN or infinite numbers in iteration 1"):
        train(run)
    assert run.store.manifests() == []
    assert run.rows() == []


def test_evaluations_and_checkpoints_come_when_due(tmp_path: Path, tiny_run: Make) -> None:
    run = tiny_run(
        tmp_path / "run", eval_every=360, checkpoint_every=300, keep_checkpoints=9, env_steps=840
    )
    run.trainer.progress.best_score = math.inf  # no checkpoint for being the best
    train(run)
    evaluated = [row["env_steps"] for row in run.rows() if "eval/online_1" in row]
    assert evaluated == [120, 360, 720, 840]
    assert [m.env_steps for m in run.store.manifests()] == [120, 360, 600, 840]


class Clock:
    """A clock that stands still but for calls that are said to take some seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def delay(self, owner: Any, name: str, seconds: float) -> None:
        call = getattr(owner, name)

        def slow(*args: Any, **kwargs: Any) -> Any:
            self.now += seconds
            return call(*args, **kwargs)

        setattr(owner, name, slow)


@pytest.mark.parametrize(
    ("seconds", "saved"),
    # Saved where another iteration would make it more than five minutes; the last one always is.
    [(100.0, [3, 6, 7]), (140.0, [2, 4, 6, 7]), (400.0, [1, 2, 3, 4, 5, 6, 7]), (1.0, [7])],
)
def test_checkpoints_come_by_the_clock_too(
    tmp_path: Path, tiny_run: Make, seconds: float, saved: list[int]
) -> None:
    periods = {"eval_every": 10**9, "checkpoint_every": 10**9, "env_steps": 840}
    run = tiny_run(tmp_path / "run", **periods, keep_checkpoints=9, checkpoint_minutes=5)
    run.trainer.progress.best_score = math.inf
    run.trainer.progress.next_checkpoint = 10**9
    run.trainer.clock = clock = Clock()
    clock.delay(run.trainer.algorithm, "train_step", seconds)
    train(run)
    assert [m.iteration for m in run.store.manifests()] == saved


def test_all_time_from_one_row_to_the_next_has_a_name(tmp_path: Path, tiny_run: Make) -> None:
    run, clock = tiny_run(tmp_path / "run", env_steps=360), Clock()
    run.trainer.clock = clock
    run.trainer = dataclasses.replace(run.trainer)
    trainer = run.trainer
    clock.delay(trainer.algorithm, "train_step", 100.0)
    clock.delay(trainer, "validate", 20.0)
    clock.delay(trainer.store, "save", 7.0)
    clock.delay(trainer, "record_position", 3.0)  # read for each copy of the state
    clock.delay(run.record, "log", 1.0)
    train(run)
    rows = read_rows(run.record.path)
    names = ("log", "save", "boundary", "iteration", "check", "eval")
    table = [[row.get(f"time/{name}_s") for name in names] for row in rows]
    assert table == [
        [None, None, 3.0, 100.0, 0.0, 20.0],
        [1.0, 10.0, 3.0, 100.0, 0.0, 20.0],  # a checkpoint holds the state anew
        [1.0, 10.0, 3.0, 100.0, 0.0, 20.0],
    ]
    assert [row["time/wall_s"] for row in rows] == [123.0, 257.0, 391.0]


def test_best_checkpoint_has_the_best_validation_return(tmp_path: Path, tiny_run: Make) -> None:
    run = tiny_run(tmp_path / "run", eval_every=1, keep_checkpoints=1)
    scores = iter([-5.0, -3.0, -4.0, -2.0, -6.0, -2.5])
    measure = run.trainer.validate

    def validate() -> Any:
        result = measure()
        result.online = torch.full_like(result.online, next(scores))
        return result

    run.trainer.validate = validate
    train(run)
    best = run.store.best()
    assert (best.iteration, best.score) == (4, -2.0)
    assert run.store.load(best)["progress"]["iteration"] == 4
    assert [m.iteration for m in run.store.manifests()] == [4, 6]


@pytest.mark.parametrize(("setting", "chosen"), [("1", 2), ("0", 3), ("null", 2), ("9", 2)])
def test_checkpoint_is_chosen_by_the_return_after_the_set_number_of_adaptations(
    tmp_path: Path, tiny_run: Make, setting: str, chosen: int
) -> None:
    run = tiny_run(tmp_path / "run", "maml", f"algo.meta_test.score_after={setting}", eval_every=1)
    before, after = (
        iter([-9.0, -8.0, -5.0, -6.0, -7.0, -8.0]),
        iter([-5.0, -2.0, -4.0] + [-6.0] * 3),
    )
    measure = run.trainer.validate

    def validate() -> Any:
        result = measure()  # of one adaptation
        result.online[0], result.online[1] = next(before), next(after)
        return result

    run.trainer.validate = validate
    train(run)
    assert run.store.best().iteration == chosen


def test_score_of_the_user_comes_before_that_of_the_algorithm(tiny_parts: Make) -> None:
    assert tiny_parts("maml").score_after == 1  # its gradient steps in training
    assert tiny_parts("maml", "algo.inner.steps=2").score_after == 2
    assert tiny_parts("maml", "meta_test.score_after=0").score_after == 0
    assert tiny_parts("rl2").score_after is None


def test_run_from_before_there_was_a_choice_is_scored_by_the_mean(one_thread: None) -> None:
    run = RunRecord(REFERENCE / "cheetah_vel_u03-maml")
    cfg = settings_of(run, OmegaConf.create({"threads": 1}))
    assert assemble(cfg).score_after is None


def test_longer_budget_continues_a_finished_run(tmp_path: Path, tiny_run: Make) -> None:
    whole = tiny_run(tmp_path / "whole")
    train(whole)
    train(tiny_run(tmp_path / "run", env_steps=360))
    longer = tiny_run(tmp_path / "run", env_steps=720, resume=True)
    train(longer)
    assert longer.last() == whole.last()


def test_finished_run_is_not_trained_or_saved_again(tmp_path: Path, tiny_run: Make) -> None:
    run = tiny_run(tmp_path / "run")
    train(run)
    before = {p.name: p.stat().st_mtime_ns for p in run.store.folder.iterdir()}
    train(tiny_run(tmp_path / "run", resume=True))
    assert {p.name: p.stat().st_mtime_ns for p in run.store.folder.iterdir()} == before


def test_run_folder_that_disappears_stops_the_run(tmp_path: Path, tiny_run: Make) -> None:
    run = tiny_run(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=r"metrics.jsonl was removed or replaced"):
        train(run)
    assert not (tmp_path / "run").exists()


def test_validation_leaves_no_trace(tmp_path: Path, tiny_run: Make) -> None:
    policies = []
    for every in (1, 10**9):
        run = tiny_run(tmp_path / str(every), eval_every=every)
        train(run)
        policies.append(run.store.load_latest()[0]["learned"]["policy"])
    often, rarely = policies
    assert all(torch.equal(often[name], rarely[name]) for name in often)
