"""The live table of a sweep, and the lines without a terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from metarl_cli.runtime.run_record import RunRecord
from metarl_cli.sweeps.course import Course
from metarl_cli.sweeps.jobs import Job, Limits
from metarl_cli.sweeps.pool import Pool
from metarl_cli.sweeps.progress import Progress, last_score
from metarl_cli.sweeps.table import SweepDisplay, clock


def append(run: Path, *rows: dict[str, float]) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_progress_is_read_from_what_the_run_has_written(tmp_path: Path) -> None:
    progress = Progress(RunRecord(tmp_path))
    progress.look()  # nothing there yet
    assert (progress.steps, progress.rate, progress.seconds_left) == (0, None, None)
    (tmp_path / "config.yaml").write_text("budget: {env_steps: 1000}\n")
    append(
        tmp_path, {"env_steps": 100, "time/wall_s": 2.0, "eval/online_0": -9, "eval/online_1": -4}
    )
    append(tmp_path, {"env_steps": 300, "time/wall_s": 4.0})
    progress.look()
    assert (progress.steps, progress.rate, progress.seconds_left) == (300, 100.0, 7.0)
    assert progress.score == -4
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"env_steps": 40')  # a row that is being written
    progress.look()
    assert progress.steps == 300
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write("0}\n")
    progress.look()
    assert progress.steps == 400


def test_progress_follows_a_run_that_was_cut_back(tmp_path: Path) -> None:
    progress = Progress(RunRecord(tmp_path))
    append(tmp_path, {"env_steps": 100}, {"env_steps": 200})
    progress.look()
    (tmp_path / "metrics.jsonl").write_text("")
    append(tmp_path, {"env_steps": 150})
    progress.look()
    assert progress.steps == 150


def test_score_is_the_return_after_the_last_adaptation() -> None:
    assert last_score({"env_steps": 1, "eval/online_0": 1.0, "eval/online_1": 2.0}) == 2.0
    assert last_score({"env_steps": 1, "train/return": 1.0}) is None


def test_table_shows_every_job_or_says_how_many_there_are_no_lines_for(tmp_path: Path) -> None:
    courses = [Course(Job(n, (), tmp_path / str(n), f"seed={n}")) for n in range(9)]
    (tmp_path / "0").mkdir()
    append(tmp_path / "0", {"env_steps": 1200, "eval/online_0": -4.25})
    console = Console(file=io.StringIO(), width=100, height=8, force_terminal=True)
    display = SweepDisplay(console)
    courses[0].end("failed", 1)
    with Pool(Limits(n_jobs=1)) as pool:
        pool.courses.update({course.job.number: course for course in courses})
        display(pool, [courses[0].outcome])
    with console.capture() as capture:
        console.print(display.table(courses))
    shown = capture.get()
    assert "1 failed, 8 waiting" in shown
    assert "and 5 more" in shown
    assert "1,200" in shown
    assert "-4.25" in shown


def test_clock_has_hours_where_it_needs_them() -> None:
    assert (clock(62), clock(3723), clock(-1)) == ("1:02", "1:02:03", "0:00")
