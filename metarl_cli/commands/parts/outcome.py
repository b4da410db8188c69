"""What a run shows at its end beside numbers: its curves, and a film if one was asked for."""

from __future__ import annotations

from metarl_cli.commands.parts.assemble import Parts
from metarl_cli.commands.parts.filming import play
from metarl_cli.commands.parts.run_curves import draw_curves
from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import TEST, Table
from metarl_cli.core.words import one_line
from metarl_cli.loggers.fanout import Fanout
from metarl_cli.runtime.film import frames_of, write_film
from metarl_cli.runtime.run_record import RunRecord


def show_outcome(
    run: RunRecord, parts: Parts, adaptation: Table, logger: Fanout, steps: int, *, film: bool
) -> None:
    """Hand on what is no number; what cannot be drawn is a notice and no failure of the run.

    Args:
        run: with its record and its meta-test.
        parts: of the agent that was tested.
        adaptation: returns by number of adaptations.
        logger: of the run.
        steps: environment steps so far.
        film: whether to film a trial in the first test task.
    """
    logger.table(f"{TEST}/adaptation", adaptation, steps)
    try:
        draw_curves(run)
        logger.image("curves", run.files.curves, steps)
    except Exception as error:  # anything: no font, a full disk, a plug-in's environment
        logger.notice(f"no curves: {one_line(error)}")
    if film:
        try:
            episodes, _ = play(parts, 0)
            write_film(run.files.film, episodes)
            logger.video(TEST, frames_of(episodes), steps)
        except (UserError, RuntimeError, OSError) as error:  # no graphics here, a full disk
            logger.notice(f"no film: {one_line(error)}")
