import io

import pytest
from rich.console import Console

from metarl_cli.loggers.console import ConsoleLogger, curve

ROW = {"train/return_0": -150.25, "train/kl": 0.0098, "time/act_s": float("nan")}
EVALUATION = {
    "eval/online_0": -150.0,
    "eval/online_1": -110.0,
    "eval/online_1_low": -115.0,
    "eval/online_1_high": -105.0,
    "eval/probe_0": -140.0,
    "eval/probe_1": -90.0,
}


def logger_on(file, *, heartbeat_s=1000.0, initial_step=0, **console):
    return ConsoleLogger(
        heartbeat_s,
        total_steps=1000,
        title="maml on cheetah_vel",
        initial_step=initial_step,
        console=Console(file=file, **console),
    )


def test_without_a_terminal_first_evaluated_and_last_rows_are_lines():
    out = io.StringIO()
    logger = logger_on(out)
    for step in (100, 200, 300):
        logger.log(ROW, step)
    logger.log(ROW | EVALUATION, 400)
    logger.notice("saved [best]")
    for step in (500, 600):
        logger.log(ROW, step)
    logger.close("finished")
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["100", "400", "saved", "600", "finished"]
    assert "(10 %)" in lines[0] and "return_0 -150.2" in lines[0] and "kl 0.0098" in lines[0]
    assert "eval online -150 -110" in lines[1] and "eval probe -140 -90" in lines[1]
    assert lines[2] == "saved [best]"


def test_test_that_ends_a_run_is_told_from_validation():
    out = io.StringIO()
    logger_on(out).log({key.replace("eval/", "test/"): x for key, x in EVALUATION.items()}, 400)
    assert "test online -150 -110  test probe -140 -90" in out.getvalue()


def test_without_a_terminal_every_row_is_a_line_when_the_heartbeat_is_due():
    out = io.StringIO()
    logger = logger_on(out, heartbeat_s=0.0)
    for step in (100, 200, 300):
        logger.log(ROW, step)
    assert len(out.getvalue().splitlines()) == 3


def test_rate_of_a_resumed_run_does_not_count_earlier_steps():
    out = io.StringIO()
    logger = logger_on(out, initial_step=500)
    logger.log({}, 500)
    assert "500 steps (50 %)  0 steps/s" in out.getvalue()


@pytest.mark.parametrize("width", [100, 30, 8])
def test_on_a_terminal_progress_metrics_and_curve_are_drawn(width):
    out = io.StringIO()
    logger = logger_on(out, force_terminal=True, width=width, height=30)
    logger.log(ROW | EVALUATION, 400)
    logger.notice("hello")
    logger.log({"train/return_0": 7.5}, 500)
    logger.close("finished")
    text = out.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # cursor given back
    if width == 100:
        for part in ("maml on cheetah_vel", "train/kl", "7.5", "-110 [-115, -105]", "█"):
            assert part in text


def test_curve_takes_episode_indices_only():
    assert curve(EVALUATION, "online") == {0: -150.0, 1: -110.0}
