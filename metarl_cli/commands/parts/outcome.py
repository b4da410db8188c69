"""What a run shows at its end beside numbers: its curves, and a film if one was asked for."""

from __future__ import annotations

from pathlib import Path

from metarl_cli.commands.parts.assemble import Parts
from metarl_cli.commands.parts.filming import play
from metarl_cli.commands.parts.run_curves import draw_curves
from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import TEST, Logger, Table
from metarl_cli.core.words import one_line
from metarl_cli.loggers.fanout import Fanout
from metarl_cli.runtime.film import FixedTasks
from metarl_cli.runtime.run_record import RunRecord


def show_outcome(
    run: RunRecord,
    parts: Parts,
    adaptation: Table,
    logger: Fanout,
    steps: int,
    *,
    curves: bool,
    film: bool,
) -> None:
    """Hand on what is no number; what cannot be drawn is a notice and no failure of the run.

    Args:
        run: with its record and its meta-test.
        parts: of the agent that was tested.
        adaptation: returns by number of adaptations.
        logger: of the run.
        steps: environment steps so far.
        curves: whether to draw them.
        film: whether to film a trial in the first test task.
    """
    logger.table(f"{TEST}/adaptation", adaptation, steps)
    if curves:
        _draw(run, logger, steps)
    if film:
        film_into(logger, parts, run.identity.title, steps, TEST, to=run.files.film)


def _draw(run: RunRecord, logger: Fanout, steps: int) -> None:
    try:
        draw_curves(run)
        logger.image("curves", run.files.curves, steps)
    except Exception as error:  # anything: no font, a full disk, a plug-in's environment
        logger.notice(f"no curves: {one_line(error)}")


def film_into(
    logger: Logger, parts: Parts, title: str, steps: int, name: str, *, to: Path | None = None
) -> None:
    """Film a trial in the first task and log it; without graphics, say, it is a notice.

    Args:
        logger: shows films.
        parts: of the agent.
        title: of the run.
        steps: environment steps so far.
        name: of the film, and of the tasks: `eval` or `test`.
        to: a GIF to write, beside it an MP4 where this can be done.
    """
    from metarl_cli.reports.film import side_by_side, write_film

    try:
        kind: FixedTasks = "test" if name == TEST else "validation"
        episodes, task = play(parts, 0, kind=kind)
        frames = side_by_side(episodes, f"{title}, {kind} task 0: {task}")
        if to is not None:
            write_film(to.with_suffix(""), frames)
        logger.video(name, frames, steps)
    except (UserError, RuntimeError, OSError) as error:  # no graphics here, a full disk
        logger.notice(f"no film: {one_line(error)}")
