"""What a person sees of a running experiment: a live display, or plain lines without a terminal.

Everything goes to stderr, so that stdout holds results only.
"""

from __future__ import annotations

import atexit
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.bar import Bar
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from metarl_cli.core.protocols import TEST, VALIDATION
from metarl_cli.loggers.jsonl import to_row

_META_TESTS = (f"{VALIDATION}/", f"{TEST}/")
_REFRESH_HZ = 1.0  # drawing 40 numbers takes 10 ms: 1 % of one core
_LINE_METRICS = 6  # numbers in a plain line
_BAR_WIDTH = 24  # characters


class LastingConsole(Console):
    """A console whose reader may leave, as `| head` does: words are lost then, not the work.

    Rich's own console ends the process instead, and closes stdout even where stderr broke.
    """

    def on_broken_pipe(self) -> None:
        """Say nothing more."""
        self.quiet = True


class ConsoleLogger:
    """Shows progress, the last metrics and the last adaptation curve.

    Args:
        heartbeat_s: Without a terminal, seconds between two lines.
        total_steps: Environment steps at which the run ends.
        title: One short line, for instance `maml on cheetah_vel`.
        initial_step: Environment steps already done when a run is resumed.
        console: Where to draw; stderr unless given.
    """

    def __init__(
        self,
        heartbeat_s: float,
        *,
        total_steps: int,
        title: str,
        initial_step: int = 0,
        console: Console | None = None,
    ) -> None:
        self._console = console or LastingConsole(stderr=True)
        self._heartbeat_s = heartbeat_s
        self._pace = Pace(total_steps, initial_step)
        self._title = title
        self._metrics: dict[str, Any] = {}
        self._curve: dict[str, Any] = {}
        self._live: Live | None = None
        self._last_line_s = -math.inf
        self._held_row: dict[str, Any] = {}  # logged but not printed yet

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """Show a row; the display is redrawn by its own clock."""
        row = {key: value for key, value in to_row(metrics, step).items() if _is_number(value)}
        evaluated = {key: row[key] for key in row if key.startswith(_META_TESTS)}
        self._pace.advance(row.pop("env_steps"))
        self._metrics |= {key: row[key] for key in row if key not in evaluated}
        self._curve = evaluated or self._curve
        if self._is_live():
            self._show()
        else:
            self._beat(row, evaluated=bool(evaluated))

    def video(self, name: str, frames: np.ndarray, step: int) -> None:
        """Ignore videos: they are files of their own."""

    def artifact(self, path: Path, kind: str, aliases: list[str]) -> None:
        """Ignore artifacts: they are files of their own."""

    def notice(self, text: str) -> None:
        """Print one line, above the display if there is one."""
        self._print(text)

    def close(self, status: str) -> None:
        """Draw a last time, stop the display and say how the run ended."""
        if self._held_row:
            self._line(self._held_row)
        self._stop()
        self._print(f"{status}  {self._pace.describe()}")

    def _is_live(self) -> bool:
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def _show(self) -> None:
        if self._live is not None:
            return
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=_REFRESH_HZ,
            redirect_stdout=sys.stdout.isatty(),  # results in a pipe or a file stay there
        )
        atexit.register(self._stop)  # gives the cursor back, whatever happens
        self._live.start(refresh=True)

    def _stop(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()
            atexit.unregister(self._stop)

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    def _beat(self, row: dict[str, Any], *, evaluated: bool) -> None:
        now = time.monotonic()
        if evaluated or now - self._last_line_s >= self._heartbeat_s:
            self._last_line_s = now
            self._line(row)
        else:
            self._held_row = row

    def _line(self, row: dict[str, Any]) -> None:
        self._held_row = {}
        shown = {k: v for k, v in row.items() if k.startswith("train/")} or {
            k: v for k, v in row.items() if not k.startswith(_META_TESTS)
        }
        parts = [self._pace.describe()]
        parts += [f"{_short(key)} {_number(shown[key])}" for key in list(shown)[:_LINE_METRICS]]
        for kind in ("online", "probe"):
            values = curve(row, kind)
            if values:
                parts.append(
                    f"{_group(row)} {kind} " + " ".join(_number(v) for v in values.values())
                )
        self._print("  ".join(parts))

    def _render(self) -> RenderableType:
        parts: list[RenderableType] = [
            Text(self._title, no_wrap=True, overflow="ellipsis"),
            Text(self._pace.describe(), no_wrap=True, overflow="ellipsis"),
            Padding(ProgressBar(total=max(self._pace.total_steps, 1), completed=self._pace.step)),
            two_columns(self._metrics),
        ]
        if curve(self._curve, "online") or curve(self._curve, "probe"):
            parts.append(curve_table(self._curve))
        return Group(*parts)


class Pace:
    """How far a run is and how fast it goes, in environment steps."""

    def __init__(self, total_steps: int, initial_step: int) -> None:
        self.total_steps = total_steps
        self.step = initial_step
        self._initial_step = initial_step
        self._start_s = self._last_s = time.monotonic()

    def advance(self, step: int) -> None:
        """Note that the run has now done `step` environment steps."""
        self.step = step
        self._last_s = time.monotonic()

    def describe(self) -> str:
        """Return for instance `1,200,000 steps (12 %)  20,000 steps/s  elapsed 1:00  left 7:20`."""
        now_s = time.monotonic()
        rate = (self.step - self._initial_step) / max(self._last_s - self._start_s, 1e-6)  # steps/s
        share = min(100, 100 * self.step / max(self.total_steps, 1))
        text = f"{self.step:,} steps ({share:.0f} %)  {rate:,.0f} steps/s"
        text += f"  elapsed {_clock(now_s - self._start_s)}"
        left = self.total_steps - self.step
        if left <= 0 or rate <= 0:
            return text
        return f"{text}  left {_clock(max(0.0, left / rate - (now_s - self._last_s)))}"


class _ValueBar:
    """A bar for one value between the worst and the best of a table."""

    def __init__(self, value: float, *, low: float, high: float) -> None:
        span = high - low
        self._share = 0.05 + 0.95 * ((value - low) / span if span > 0 else 1.0)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, _BAR_WIDTH)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Any:
        if options.ascii_only:
            yield Text("#" * max(1, round(_BAR_WIDTH * self._share)))
        else:
            yield Bar(1.0, 0.0, self._share)


def curve(metrics: Mapping[str, Any], kind: str) -> dict[int, float]:
    """Return `{k: value}` of the keys `eval/<kind>_<k>`, in order of the episode index k.

    Or of `test/<kind>_<k>`, where the row is the test that ends a run.
    """
    prefix = f"{_group(metrics)}/{kind}_"
    found = {
        int(key.removeprefix(prefix)): float(value)
        for key, value in metrics.items()
        if key.startswith(prefix) and key.removeprefix(prefix).isdigit()
    }
    return dict(sorted(found.items()))


def curve_table(metrics: Mapping[str, Any]) -> Table:
    """Draw an adaptation curve: one row per episode index, a bar for the online return."""
    online, probe = curve(metrics, "online"), curve(metrics, "probe")
    bars = online or probe
    low, high = min(bars.values()), max(bars.values())
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("episode", "online", "probe"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, overflow="crop")
    for index in sorted(online | probe):
        bar: RenderableType = (
            _ValueBar(bars[index], low=low, high=high) if index in bars else Text("")
        )
        table.add_row(str(index), _with_interval(metrics, index), _optional(probe, index), bar)
    return table


def two_columns(metrics: Mapping[str, Any]) -> Table:
    """Lay out `name value` pairs in two columns, filled row by row."""
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim")
        table.add_column(justify="right", no_wrap=True)
    cells = [cell for key, value in metrics.items() for cell in (key, _number(value))]
    for start in range(0, len(cells), 4):
        table.add_row(*cells[start : start + 4])
    return table


def _with_interval(metrics: Mapping[str, Any], index: int) -> str:
    key = f"{_group(metrics)}/online_{index}"
    text = _optional(curve(metrics, "online"), index)
    if f"{key}_low" in metrics and f"{key}_high" in metrics:
        return f"{text} [{_number(metrics[f'{key}_low'])}, {_number(metrics[f'{key}_high'])}]"
    return text


def _group(metrics: Mapping[str, Any]) -> str:
    """What the names of a row's meta-test begin with; it has one at most."""
    return TEST if any(key.startswith(f"{TEST}/") for key in metrics) else VALIDATION


def _optional(values: Mapping[int, float], index: int) -> str:
    return _number(values[index]) if index in values else "-"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _short(key: str) -> str:
    return key.rpartition("/")[2]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
