"""`metarl film`: pictures of an agent's online episodes in one test task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from metarl_cli.commands.parts.filming import play
from metarl_cli.commands.parts.frozen import load_agent, settings_of
from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.loggers.console import LastingConsole
from metarl_cli.reports.strip import StripRow, strip_figure
from metarl_cli.runtime.evaluation import task_in_words
from metarl_cli.runtime.film import FilmedEpisode, write_film
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
    episodes, task = play(parts, cfg.task)
    named = task_in_words(cfg.task, same=parts.split.same_tasks)
    title = f"{trained.identity.title}, {named}: {task}"
    to = Path(cfg.output) if cfg.output else new_folder("film", trained.folder.resolve().name)
    _write(episodes, to, strip_frames=cfg.frames, title=title)
    returns = " > ".join(f"{episode.total_reward:.2f}" for episode in episodes)
    console = LastingConsole()
    console.print(f"{title}. Return by episode: {returns}.", soft_wrap=True)
    console.print(f"film.gif and strip.png in {to}", style="dim", soft_wrap=True)
    return 0


def _write(
    episodes: Sequence[FilmedEpisode], folder: Path, *, strip_frames: int, title: str
) -> None:
    rows = [StripRow(f"episode {e.index}\nreturn {e.total_reward:.2f}", e.frames) for e in episodes]
    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_film(folder / "film.gif", episodes)
        strip_figure(rows, folder / "strip.png", frames=strip_frames, title=title)
