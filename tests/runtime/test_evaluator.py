from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from metarl_cli.commands.parts.results import print_results, results_table, verdict
from metarl_cli.core.types import Tasks
from metarl_cli.runtime.evaluation import Interval, read_evaluation
from metarl_cli.runtime.evaluator import MetaTest, meta_test, summary
from metarl_cli.runtime.process import own_random_streams, random_state

Make = Callable[..., Any]


def test_one_row_per_number_of_adaptations(tiny_parts: Make) -> None:
    result = tiny_parts().test("test", most_episodes=2)
    assert result.online.shape == result.probe.shape == (3, 2, 2)  # [K + 1, M, E]
    assert [row.index for row in result.episodes()] == [0, 1, 2]
    assert result.env_steps == 3 * 2 * 2 * 2 * 10  # indices, online and probe, tasks, envs, steps


def test_numbers_equal_those_of_a_plain_loop(tiny_parts: Make) -> None:
    parts = tiny_parts("maml", "algo.envs_per_task=2")
    result = parts.test("test", most_episodes=2)
    sampler = parts.training_sampler()  # of as many tasks and environments as are tested
    sampler.seed = parts.test_seed
    agent, online, probe = parts.algorithm, [], []
    with own_random_streams(parts.cfg.seed + 1_000_003):
        trial = sampler.begin(agent, sampler.sample_tasks("test"))
        for _ in range(3):
            scored, _ = sampler.run(agent, trial, explore=False)
            episode, trial = sampler.run(agent, trial)
            trial = trial.adapt(agent, episode)
            probe.append(
                [[float(scored.reward[:, 2 * i + j].sum()) for j in (0, 1)] for i in (0, 1)]
            )
            online.append(
                [[float(episode.reward[:, 2 * i + j].sum()) for j in (0, 1)] for i in (0, 1)]
            )
    assert torch.allclose(result.online, torch.tensor(online))
    assert torch.allclose(result.probe, torch.tensor(probe))
    first = result.episodes()[1]
    assert first.online.mean == pytest.approx(np.mean(online[1]))
    assert result.per_task()[1].online == pytest.approx([np.mean(row[1]) for row in online])


def test_probe_changes_neither_the_agent_nor_the_trial(tiny_parts: Make) -> None:
    parts = tiny_parts()
    agent, sampler = parts.algorithm, parts.training_sampler()
    trial = sampler.begin(agent, sampler.sample_tasks("train"))
    episode, trial = sampler.run(agent, trial)
    trial = trial.adapt(agent, episode)

    def values() -> list[torch.Tensor]:
        agent_s, trial_s = agent.policy.state_dict().values(), trial.state.parameters
        return [x.clone() for x in (*agent_s, trial_s, trial.prev_action, trial.prev_reward)]

    before = values()
    sampler.run(agent, trial, explore=False)
    assert all(torch.equal(x, y) for x, y in zip(before, values(), strict=True))


def test_global_random_streams_do_not_move(tiny_parts: Make) -> None:
    parts = tiny_parts()
    before = random_state()
    parts.test("validation", most_episodes=1)
    after = random_state()
    assert torch.equal(before["torch"], after["torch"])
    assert before["python"] == after["python"] == random.getstate()
    assert torch.equal(before["numpy"][1], after["numpy"][1])


def test_streams_come_back_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), own_random_streams(5):
        torch.rand(3)
        raise ZeroDivisionError
    assert torch.equal(before, torch.get_rng_state())


def test_same_numbers_twice_and_other_ones_for_other_tasks(tiny_parts: Make) -> None:
    parts = tiny_parts()
    first, second = parts.test("test"), parts.test("test")
    assert torch.equal(first.online, second.online)
    assert torch.equal(first.probe, second.probe)
    other = tiny_parts("maml", "env.tasks.test_seed=7").test("test")
    assert not torch.equal(first.tasks.params, other.tasks.params)
    assert not torch.equal(first.online, other.online)
    validation = parts.test("validation")
    assert not torch.equal(first.tasks.params, validation.tasks.params)


class OneEpisode:
    """A sampler whose episodes are all the same, in two tasks of one environment each."""

    env_steps = unstable = 0

    def __init__(self, episode: SimpleNamespace) -> None:
        self.episode = episode

    def sample_tasks(self, split: str) -> Tasks:
        return Tasks(torch.zeros(2, 1), torch.tensor([-1, -1]))

    def begin(self, agent: None, tasks: Tasks) -> None:
        """There is nothing to remember."""

    def run(self, agent: None, trial: None, *, explore: bool = True) -> tuple:
        return self.episode, trial


def test_success_counts_at_any_step_and_info_only_while_active() -> None:
    active = torch.tensor([[1.0, 1.0], [1.0, 0.0]])  # the second one ends after its first step
    episode = SimpleNamespace(
        step=SimpleNamespace(active=active),
        reward=torch.tensor([[1.0, 2.0], [3.0, 0.0]]),
        extras={
            "info/success": torch.tensor([[1.0, 0.0], [0.0, 1.0]]),  # 1 after the end: not counted
            "info/speed": torch.tensor([[2.0, 5.0], [4.0, 9.0]]),
            "log_prob": torch.zeros(2, 2),
        },
    )
    sampler = OneEpisode(episode)
    first, second = meta_test(
        None, sampler, episodes=0, split="test", seed=0, probe=False
    ).per_task()
    assert (first.online, second.online) == ([4.0], [2.0])
    assert first.info == {"success": [1.0], "speed": [3.0]}
    assert second.info == {"success": [0.0], "speed": [5.0]}


def test_tasks_are_found_where_one_sampled_episode_succeeds() -> None:
    tasks = Tasks(torch.zeros(2, 1), torch.tensor([-1, -1]))
    online = {"success": torch.tensor([[[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])}
    probe = {"success": torch.tensor([[[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]]])}
    returns = torch.zeros(1, 2, 4)
    (row,) = MetaTest(tasks, returns, returns, online, probe, 80, 0).episodes()
    assert (row.success, row.online_success, row.found) == (0.75, 0.125, 0.5)
    (row,) = MetaTest(tasks, returns, None, {}, {}, 80, 0).episodes()
    assert (row.success, row.online_success, row.found) == (None, None, None)


def test_interval_is_over_tasks_not_over_their_episodes() -> None:
    equal = summary(torch.tensor([[0.0, 2.0], [0.0, 2.0]]))  # both tasks have mean 1
    assert equal == Interval(1.0, 1.0, 1.0)
    apart = summary(torch.tensor([[0.0], [2.0]]))
    assert apart == Interval(1.0, 0.0, 2.0)
    one = summary(torch.tensor([[3.0]]))
    assert one == Interval(3.0, 3.0, 3.0)


def small_result(*, probe: bool = True) -> MetaTest:
    tasks = Tasks(torch.tensor([[0.5], [1.0]]), torch.tensor([-1, -1]))
    online = torch.tensor([[[-10.0], [-20.0]], [[-4.0], [-6.0]]])
    info = {"success": torch.tensor([[[0.0], [0.0]], [[1.0], [0.0]]])}
    return MetaTest(
        tasks, online, online + 1 if probe else None, info, info if probe else {}, 80, 0
    )


def test_document_has_the_promised_keys(tmp_path: Path) -> None:
    measured = small_result().evaluation(
        env="point_nav",
        algo="maml",
        checkpoint="x.pt",
        env_steps=120,
        test_seed=7,
        same_tasks=False,
    )
    measured.write(tmp_path / "eval.json")
    document = json.loads((tmp_path / "eval.json").read_text(), parse_constant=pytest.fail)
    promised = {"env", "algo", "checkpoint", "env_steps", "test_seed", "num_tasks"}
    assert promised | {"episodes", "tasks", "same_tasks"} <= document.keys()
    assert document["test_seed"] == 7
    row = document["episodes"][1]
    assert row["online"]["mean"] == -5.0
    assert row["online"].keys() == row["probe"].keys() == {"mean", "low", "high"}
    assert (row["index"], row["success"]) == (1, 0.5)
    task = document["tasks"][0]
    assert (task["params"], task["online"], task["probe"]) == ([0.5], [-10.0, -4.0], [-9.0, -3.0])
    assert results_table(measured).row_count == 2
    assert verdict(measured.episodes) == (
        "Adaptation: return -15.0 before, -5.0 after 1 step (+10.0)."
    )


def test_metrics_are_flat_and_leave_out_missing_probes() -> None:
    metrics = small_result(probe=False).metrics()
    assert metrics["eval/online_0"] == -15.0
    assert metrics["eval/online_1_low"] == -6.0
    assert not any("probe" in key for key in metrics)


def result_of(online: list[list[list[float]]]) -> MetaTest:
    """A meta-test with the online returns `[K + 1, M, E]` and nothing else."""
    returns = torch.tensor(online)
    num = returns.shape[1]
    tasks = Tasks(torch.zeros(num, 1), torch.full((num,), -1))
    return MetaTest(tasks, returns, None, {}, {}, 0, 0)


@pytest.mark.parametrize(("after", "score"), [(None, 4.0), (0, 9.0), (1, 2.0), (2, 6.0), (3, 6.0)])
def test_score_is_the_return_after_so_many_adaptations_or_a_mean(
    after: int | None, score: float
) -> None:
    result = result_of([[[8.0], [10.0]], [[1.0], [3.0]], [[6.0], [6.0]]])
    assert result.score(after) == score


def test_score_without_adaptation_is_what_there_is() -> None:
    result = result_of([[[8.0], [10.0]]])
    assert result.score() == result.score(0) == result.score(2) == 9.0


# Means 4 with standard error 1 (variance 2 over two episodes), so twice the error of a difference
# of two such means is 2 * sqrt(2) = 2.83.
FOUR, TWO, ONE = [3.0, 5.0], [1.0, 3.0], [0.0, 2.0]


@pytest.mark.parametrize(
    ("before", "first", "last", "diverges"),
    [
        (FOUR, ONE, ONE, True),  # worse than before, by 3
        (ONE, FOUR, ONE, True),  # no worse than before, but than after the first adaptation
        (FOUR, FOUR, TWO, False),  # worse by 2, which may be chance
        (ONE, TWO, FOUR, False),
        ([4.0, 4.0], [4.0, 4.0], [3.9, 3.9], True),  # any loss, where there is no error
        ([4.0, 4.0], [4.0, 4.0], [4.0, 4.0], False),
    ],
)
def test_task_diverges_if_it_ends_two_standard_errors_below_its_start_or_first_step(
    before: list[float], first: list[float], last: list[float], diverges: bool
) -> None:
    assert result_of([[before], [first], [last]]).diverging() == float(diverges)
    assert result_of([[before], [first], [FOUR], [last]]).diverging() == float(diverges)


def test_share_of_diverging_tasks_with_one_episode_each_is_by_plain_comparison() -> None:
    result = result_of([[[1.0], [2.0], [1.0], [1.0]], [[2.0], [1.0], [3.0], [1.0]]])
    assert result.diverging() == 0.25  # of four tasks only the second ended below where it began
    assert result.metrics()["eval/diverging"] == 0.25


def test_nothing_diverges_and_nothing_is_said_of_it_without_adaptation() -> None:
    result = result_of([[[1.0, 2.0], [2.0, 3.0]]])
    assert result.diverging() is None
    assert "eval/diverging" not in result.metrics()


@pytest.mark.parametrize(
    ("online", "line"),
    [
        ([[FOUR, ONE, TWO], [ONE, ONE, TWO]], "1 of 3 tasks ended worse"),
        ([[[2.0], [2.0]], [[1.0], [0.0]]], "2 of 2 tasks ended worse"),
        ([[ONE, ONE, TWO], [FOUR, ONE, TWO]], None),
        ([[ONE, ONE, TWO]], None),
    ],
)
def test_tasks_that_ended_worse_are_counted_in_file_and_words(
    online: list, line: str | None, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    names = {"env": "point_nav", "algo": "maml", "checkpoint": "x.pt"}
    result = result_of(online)
    measured = result.evaluation(**names, env_steps=1, test_seed=7, same_tasks=False)
    measured.write(tmp_path / "eval.json")
    assert read_evaluation(tmp_path / "eval.json").diverging == result.diverging()
    print_results(measured)
    said = " ".join(capsys.readouterr().out.split())
    assert (line in said) if line else ("ended worse" not in said)
    assert ("by one episode each" in said) == (bool(line) and len(online[0][0]) == 1)


def test_file_from_before_diverging_tasks_were_counted_is_read(tmp_path: Path) -> None:
    names = {"env": "point_nav", "algo": "maml", "checkpoint": "x.pt"}
    measured = small_result().evaluation(**names, env_steps=1, test_seed=7, same_tasks=False)
    document = measured.to_json()
    assert document.pop("diverging") == 0.0
    (tmp_path / "eval.json").write_text(json.dumps(document))
    assert read_evaluation(tmp_path / "eval.json").diverging is None


def test_without_adaptation_there_is_one_row(tiny_parts: Make) -> None:
    rows = tiny_parts("maml", "meta_test.episodes=0").test("test").episodes()
    assert len(rows) == 1
    assert verdict(rows).startswith("Return without adaptation: ")
