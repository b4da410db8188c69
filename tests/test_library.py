"""What `import metarl_cli as metarl` offers, and that what README shows of it runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import metarl_cli as metarl
from metarl_cli.core.errors import UserError
from metarl_cli.core.types import Output, TimeStep, Trajectory
from metarl_cli.core.version import VERSION
from metarl_cli.runtime.evaluation import read_evaluation

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "outputs" / "reference" / "bernoulli_bandit-rl2"
SMALL = {"num_envs": 6, "size": 3, "horizon": 5}


@pytest.mark.parametrize("page", ["README.md", "docs/environments.md"])
def test_code_of_the_documentation_runs_as_it_stands(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    assert blocks
    monkeypatch.chdir(ROOT)
    for block in blocks:
        exec(compile(block, page, "exec"), {})


def test_code_of_readme_prints_what_the_agent_is_known_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Bayes-optimal are 21.0 in the first episode and 30.35 in the second, over all 31 goals."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(block, names)
    first, second = map(float, re.findall(r"episode \d: ([\d.]+)", capsys.readouterr().out))
    assert first + 5 < second and 28 < second < 32
    assert [row.index for row in names["table"]] == [0, 1]


def test_importing_the_package_is_cheap() -> None:
    heavy = "{'torch', 'hydra', 'numpy', 'omegaconf', 'mujoco'}"
    code = f"import sys, metarl_cli; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_package_tells_its_version_and_what_it_offers() -> None:
    assert metarl.__version__ == VERSION
    assert set(metarl.__all__) <= set(dir(metarl))
    assert all(getattr(metarl, name).__doc__ for name in metarl.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        metarl.nonsense  # noqa: B018


def test_loaded_agent_repeats_the_meta_test_of_its_run() -> None:
    recorded = read_evaluation(RUN / "eval.json")
    agent = metarl.load(RUN, threads=1)
    assert agent.env_steps == recorded.env_steps
    assert metarl.evaluate(agent).episodes() == recorded.episodes


def test_loading_moves_no_random_stream_and_no_number_of_threads() -> None:
    before = torch.get_rng_state(), torch.get_num_threads()
    metarl.load(RUN)
    assert torch.get_rng_state().equal(before[0]) and torch.get_num_threads() == before[1]


def test_made_environments_have_the_settings_and_as_many_held_out_tasks_as_asked_for() -> None:
    env = metarl.make("gridnavi", num_tasks=3, seed=1, **SMALL)
    assert (env.num_tasks, env.envs_per_task) == (3, 2)
    assert env.spec.horizon == 5 and env.spec.observation.high.max() == 2
    assert env.sample_tasks("test").num == 3 == env.sample_tasks().num
    assert set(env.split.family.anchors()) >= {"random", "oracle"}


class Rightwards:
    """An agent that learns nothing."""

    def initial_state(self, num_tasks: int, envs_per_task: int) -> None:
        return None

    def act(self, state: None, step: TimeStep, *, explore: bool) -> Output:
        return Output(torch.full_like(step.first, 2, dtype=torch.int64), state)

    def adapt(self, state: None, episode: Trajectory) -> None:
        return state


def test_any_agent_can_be_evaluated() -> None:
    env = metarl.make("gridnavi", num_tasks=3, **SMALL)
    result = metarl.evaluate(Rightwards(), env, episodes=2, probe=False)
    assert result.online.shape == (3, 3, 2) and result.probe is None
    with pytest.raises(UserError, match="none of its own"):
        metarl.evaluate(Rightwards())


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "gridnavy",
            {"num_envs": 2},
            r"^there is no environment gridnavy\. Did you mean gridnavi\?$",
        ),
        ("gridnavi", {"num_envs": 2, "horzon": 3}, r"^unknown key env\.horzon\. Did you mean"),
        ("gridnavi", {"num_envs": 22}, r"^num_tasks=22: .*there are only 21$"),
        ("gridnavi", {"num_envs": 4, "num_tasks": 3}, "^num_tasks: got 3, expected a divisor"),
    ],
)
def test_wrong_request_is_one_line(name: str, settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        metarl.make(name, **settings)
