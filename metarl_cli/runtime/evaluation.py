"""What a meta-test measured, as `eval.json` keeps it: written and read by one definition."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl_cli.core.errors import RunError, UserError
from metarl_cli.core.files import read_regular, write_json
from metarl_cli.core.typed import typed

if TYPE_CHECKING:
    from metarl_cli.core.protocols import Table

MOST_BYTES = 50_000_000
UNREADABLE = (json.JSONDecodeError, UnicodeDecodeError, RecursionError)
OPTIONAL = (
    "probe",
    "belief_kl",
    "belief_error",
    "same_tasks",
    "diverging",
    "online_success",
    "found",
)  # left out of the file where there is none


@dataclass(frozen=True)
class Interval:
    """A mean over tasks with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class EpisodeRow:
    """All tasks in the episode after `index` adaptations."""

    index: int
    online: Interval  # return of sampled actions, while the agent explores
    probe: Interval | None = None  # of greedy actions
    success: float | None = None  # share of probes, where the environment defines success
    info: dict[str, float] = field(default_factory=dict)  # means per step
    online_success: float | None = None  # share of episodes of sampled actions
    found: float | None = None  # share of tasks in which one of these succeeded, or more


@dataclass(frozen=True)
class TaskRow:
    """One task: returns and info by episode index."""

    params: list[float]
    online: list[float]
    probe: list[float] | None = None
    info: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A meta-test of one checkpoint; its fields are the keys of the file."""

    env: str
    algo: str
    checkpoint: str  # file name, or path from where it was measured
    env_steps: int  # that the checkpoint had been trained for
    test_seed: int
    num_tasks: int
    same_tasks: bool | None = None  # whether they are trained on, too; None: an old file
    envs_per_task: int
    test_env_steps: int  # that the meta-test took
    unstable: int = 0  # simulations that blew up
    diverging: float | None = None  # share of tasks that ended worse; None: unknown, no adaptation
    episodes: list[EpisodeRow]
    tasks: list[TaskRow]
    belief_kl: float | None = None  # see `runtime.beliefs.GoalBeliefs.agreement`
    belief_error: float | None = None

    @property
    def last(self) -> EpisodeRow:
        """The episode after all adaptations."""
        return self.episodes[-1]

    @property
    def num_episodes(self) -> int:
        """Episodes that were run: online ones and probes."""
        kinds = sum(1 + (row.probe is not None) for row in self.episodes)
        return kinds * self.num_tasks * self.envs_per_task

    def require_stable(self) -> None:
        """Raise a RunError if the simulation blew up in every single episode."""
        if self.unstable >= self.num_episodes:
            raise RunError(
                f"all {self.num_episodes} episodes of the meta-test blew up: "
                "its numbers say nothing about the agent"
            )

    def in_words(self) -> str:
        """Say what was tested on: `40 held-out tasks`, or that they were trained on, too."""
        return tasks_in_words(self.num_tasks, same=self.same_tasks)

    def table(self) -> Table:
        """Lay out the adaptation curve, a row for each number of adaptations."""
        from metarl_cli.core.protocols import Table  # brings torch

        bounds = [f"{kind}{end}" for kind in ("online", "probe") for end in ("", "_low", "_high")]
        info = list(self.episodes[0].info)
        columns = ["adaptations", *bounds, "success", "online_success", "found", *info]
        return Table(columns, [_cells(row, info) for row in self.episodes])

    def to_json(self) -> dict[str, Any]:
        """Return what is written into the file."""
        return _without_absent(dataclasses.asdict(self))

    def write(self, path: Path) -> None:
        """Write the file; a failure to write is a RunError."""
        write_json(path, self.to_json())


def _cells(row: EpisodeRow, info: Sequence[str]) -> list[float | None]:
    cells: list[float | None] = [row.index]
    for cell in (row.online, row.probe):
        cells += [None] * 3 if cell is None else [cell.mean, cell.low, cell.high]
    return [*cells, row.success, row.online_success, row.found, *(row.info[key] for key in info)]


def tasks_in_words(num: int, *, same: bool | None) -> str:
    """Return `2 held-out tasks`, or `the same 2 tasks as in training`; unknown: `2 test tasks`."""
    plural = "s" * (num != 1)
    if same:
        return f"the same {num} task{plural} as in training"
    return f"{num} {'test' if same is None else 'held-out'} task{plural}"


def task_in_words(index: int, *, same: bool) -> str:
    """Name one of them: `held-out task 3`, or `task 3 (trained on, too)`."""
    return f"task {index} (trained on, too)" if same else f"held-out task {index}"


def read_evaluation(path: Path) -> Evaluation:
    """Read `eval.json`, also of earlier versions.

    Raises:
        UserError: it is missing, damaged or no evaluation.
    """
    text = read_regular(path, most_bytes=MOST_BYTES)
    try:
        found = typed(Evaluation, json.loads(text), "it")
        if not found.episodes:
            raise ValueError("it has no episodes")
    except (ValueError, RecursionError) as error:
        reason = "no JSON" if isinstance(error, UNREADABLE) else str(error)
        raise UserError(f"{path} is not the eval.json of a run: {reason}") from error
    return found


def _without_absent(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_absent(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {k: _without_absent(x) for k, x in node.items() if x is not None or k not in OPTIONAL}
