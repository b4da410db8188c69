"""What the picture of a run holds, read off the figure, and that it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

from metarl_cli.reports.curves import Background, RunCurves, common_limits, draw_run, run_figure
from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation, Interval, TaskRow
from metarl_cli.runtime.run_record import Identity

MAML = Identity(env="point_nav", algo="maml", seed=3)
BACKGROUND = Background(
    hidden_task="goal_x in [-0.5, 0.5]",
    task_names=("goal_x",),
    horizon=100,
    anchors={"oracle": (0.0,), "random": (-50.0,), "bayes_optimal": (-20.0, -1.0)},
)
ROWS = [
    {
        "env_steps": steps,
        "train/return_0": -40.0,
        "train/return_1": -20.0,
        "eval/online_0": -30.0,
        "eval/online_0_low": -40.0,
        "eval/online_0_high": -25.0,
    }
    for steps in (1, 2, 3)
]


def cell(mean: float) -> Interval:
    return Interval(mean, mean - 1.0, mean + 2.0)


def measured(num_episodes: int, tasks: list[TaskRow] | None = None) -> Evaluation:
    episodes = [EpisodeRow(k, cell(k - 10.0), cell(k - 9.0)) for k in range(num_episodes)]
    names = {"env": "point_nav", "algo": "maml", "checkpoint": "c"}
    counts = {"num_tasks": 2, "envs_per_task": 1, "env_steps": 3, "test_env_steps": 0}
    return Evaluation(**names, **counts, test_seed=0, episodes=episodes, tasks=tasks or [])


def curves(num_episodes: int = 3, **changes: object) -> RunCurves:
    known = {"identity": MAML, "rows": ROWS, "background": BACKGROUND}
    return RunCurves(**(known | {"evaluation": measured(num_episodes)} | changes))


def legend_of(shown: RunCurves) -> list[str]:
    return [text.get_text() for text in run_figure(shown).legends[0].get_texts()]


def levels(axes: Axes) -> set[float]:
    """Returns at which a line crosses the whole panel."""
    return {line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]}


def test_the_picture_is_written_and_not_blank(tmp_path: Path) -> None:
    draw_run(curves(), tmp_path / "curves.png")
    picture = imread(tmp_path / "curves.png")
    assert picture.shape[:2] == (550, 1100)
    assert picture[..., :3].std() > 0.05


def test_title_names_method_environment_seed_and_task_distribution() -> None:
    title = run_figure(curves()).get_suptitle()
    assert title.splitlines() == [
        "maml on point_nav, one run (seed 3)",
        "hidden task: goal_x in [-0.5, 0.5]; 100 steps per episode",
    ]


def test_legend_names_every_line_with_batches_and_anchors_among_them() -> None:
    assert legend_of(curves()) == [
        "before adaptation",
        "thick: mean of 2 validation tasks, band: 95 % interval over tasks",
        "thin: training batches",
        "online (sampled actions), 95 % interval",
        "probe (greedy actions), 95 % interval",
        "oracle (exact): 0",
        "random (exact): -50",
        "bayes optimal (exact): -20 > -1",
    ]


def test_anchors_are_lines_and_steps_where_they_depend_on_the_episode() -> None:
    learning, adaptation = run_figure(curves()).axes
    assert levels(learning) == {0.0, -50.0, -1.0}
    assert levels(adaptation) == {0.0, -50.0}
    (steps,) = [patch for patch in adaptation.patches if hasattr(patch, "get_data")]
    assert steps.get_data().values.tolist() == [-20.0, -1.0]


def test_methods_of_one_episode_show_each_task_and_not_a_line_of_one_point() -> None:
    tasks = [TaskRow([0.5], [-3.0], [-2.0]), TaskRow([-0.5], [-7.0], [-6.0])]
    _, tested = run_figure(curves(evaluation=measured(1, tasks))).axes
    bars = [bar.get_height() for bar in tested.patches if bar.get_y() == 0 and bar.get_width() < 1]
    assert bars == [-3.0, -7.0, -2.0, -6.0]
    assert tested.get_xlabel() == "task: goal_x"
    assert [tick.get_text() for tick in tested.get_xticklabels()] == ["0.5", "-0.5"]


def test_many_tasks_of_one_number_stand_over_that_number() -> None:
    tasks = [TaskRow([x / 10], [-x], [-x]) for x in range(20)]
    _, tested = run_figure(curves(evaluation=measured(1, tasks))).axes
    assert list(tested.lines[0].get_xdata()) == [x / 10 for x in range(20)]
    assert tested.get_xlabel() == "task: goal_x"


def test_both_panels_share_their_returns_and_runs_that_are_compared_do_too() -> None:
    one, other = curves(), curves(rows=[ROWS[0] | {"eval/online_0_low": -200.0}])
    limits = common_limits([one, other])
    assert limits is not None and limits[0] < -200.0 < 0.0 < limits[1]
    panels = [axes for shown in (one, other) for axes in run_figure(shown, limits).axes]
    assert {axes.get_ylim() for axes in panels} == {limits}


def test_before_the_meta_test_the_last_validation_takes_its_place() -> None:
    _, tested = run_figure(curves(evaluation=None)).axes
    assert tested.get_title() == "last validation; no meta-test yet"
    assert list(tested.lines[0].get_ydata()) == [-30.0]


def test_dense_batches_have_an_axis_of_their_own() -> None:
    figure = run_figure(curves(dense_training=True))
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == [
        "return per episode",
        "return of training batches (dense reward)",
    ]
    assert "thin: training batches (dense reward, right axis)" in legend_of(
        curves(dense_training=True)
    )


@pytest.mark.parametrize("name", ["policy" * length for length in range(1, 16)])
def test_legend_stays_within_the_picture(name: str, tmp_path: Path) -> None:
    known = Background(hidden_task="", task_names=(), horizon=1, anchors={name: (0.0,)})
    draw_run(curves(background=known), tmp_path / "curves.png")
    edges = imread(tmp_path / "curves.png")[400:, [0, -1], :3]  # beside the legend
    assert edges.min() == 1.0


def test_of_an_unknown_environment_the_curves_are_drawn_without_anchors() -> None:
    figure = run_figure(curves(background=None))
    assert figure.get_suptitle() == "maml on point_nav, one run (seed 3)"
    assert levels(figure.axes[0]) == set()


@pytest.mark.parametrize("rows", [[], [{"env_steps": 1}]])
def test_runs_that_do_not_learn_show_their_test_alone(rows: list) -> None:
    (tested,) = run_figure(curves(rows=rows)).axes
    assert tested.get_xlabel() == "adaptations"
