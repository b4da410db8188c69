"""`metarl film`: pictures of an agent's online episodes in one test task."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress

from metarl_cli.commands.parts.filming import play, steps_of
from metarl_cli.commands.parts.frozen import load_agent, settings_of
from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.loggers.console import LastingConsole
from metarl_cli.reports.film import side_by_side, write_film
from metarl_cli.reports.strip import StripRow, strip_figure
from metarl_cli.runtime.evaluation import task_in_words
from metarl_cli.runtime.film import FilmedEpisode
from metarl_cli.runtime.find_runs import find_checkpoint
from metarl_cli.runtime.runs import new_folder


def run(cfg: DictConfig) -> int:
    """Play one trial by the protocol of the meta-test; write it as a film and as a strip."""
    trained, manifest = find_checkpoint(cfg.checkpoint)
    run_cfg = settings_of(trained, cfg.overrides)
    num_test = run_cfg.env.tasks.num_test
    if cfg.task >= num_test:
        raise UserError(f"task: got {cfg.task}, but the test tasks are 0 to {num_test - 1}")
    parts, _, _ = load_agent(trained, manifest, run_cfg)
    with _progress(steps_of(parts)) as advance:
        episodes, task = play(parts, cfg.task, columns=cfg.columns, on_step=advance)
    named = task_in_words(cfg.task, same=parts.split.same_tasks)
    title = f"{trained.identity.title}, {named}: {task}"
    to = Path(cfg.output) if cfg.output else new_folder("film", trained.folder.resolve().name)
    names = _write(episodes, to, strip_frames=cfg.frames, title=title)
    returns = " > ".join(f"{episode.total_reward:.2f}" for episode in episodes)
    console = LastingConsole()
    console.print(f"{title}. Return by episode: {returns}.", soft_wrap=True)
    console.print(f"{' and '.join(names)} in {to}", style="dim", soft_wrap=True)
    return 0


@contextlib.contextmanager
def _progress(steps: int) -> Iterator[Callable[[], None]]:
    """Show how much has been played, at a terminal; give what says that a step was done."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        filming = shown.add_task("filming", total=steps)
        yield lambda: shown.advance(filming)


def _write(
    episodes: Sequence[FilmedEpisode], folder: Path, *, strip_frames: int, title: str
) -> list[str]:
    rows = [StripRow(f"episode {e.index}\nreturn {e.total_reward:.2f}", e.frames) for e in episodes]
    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        paths = write_film(folder / "film", side_by_side(episodes, title))
        strip_figure(rows, folder / "strip.png", frames=strip_frames, title=title)
    return [*(path.name for path in paths), "strip.png"]
