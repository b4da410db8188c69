"""What a search has found: its best trials, what mattered, and a preset to train with."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.core.files import write_atomically
from metarl_cli.loggers.notices import tell
from metarl_cli.sweeps.tuning.preset import EXPERIMENT, preset_text
from metarl_cli.sweeps.tuning.space import Space, parse_space, text_of
from metarl_cli.sweeps.tuning.study import REASON, SCORES, Plan, Study

STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "given up",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "unfinished",
}
FEWEST_TRIALS = 4  # below which importance is a guess
PLAIN_WIDTH = 160  # columns without a terminal


def report(folder: Path, to: Path | None = None, *, top: int = 10) -> int:
    """Print the trials of a study and write its best settings as a preset.

    Args:
        folder: of the study.
        to: file of the preset; None stands for `experiment/best.yaml` in the folder, with which
            `metarl train --config-dir <folder> experiment=best` trains.
        top: so many trials are shown.

    Returns:
        The exit code: 1 if no trial has a score yet.
    """
    study = Study(folder)
    plan = study.plan
    if plan is None:
        raise UserError(f"the study in {folder} has not begun")
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    say = _speaker(console)
    space = parse_space(plan.words)
    say(f"{len(study.trials)} trials: {_states(study.trials)}")
    console.print(_table(study.trials, space, plan, top))
    if (best := study.best) is None:
        tell("no trial has a score yet")
        return 1
    for line in importance(study):
        say(line)
    words = space.words(best.params)
    say(f"best: metarl train {' '.join(map(_quoted, words))}")
    _write_preset(study, best, words, to, say)
    return 0


def importance(study: Study) -> list[str]:
    """Say in lines how much of the good scores each searched setting explains.

    PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255): how differently the best trials are spread
    over a setting's range than all finished ones.
    """
    finished = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    if len(finished) < FEWEST_TRIALS:
        return [f"importance: too few finished trials ({len(finished)})"]
    shares = get_param_importances(study.optuna, evaluator=PedAnovaImportanceEvaluator())
    width = max(map(len, shares))
    return ["importance (PED-ANOVA):", *(f"  {k:{width}}  {x:6.1%}" for k, x in shares.items())]


def _speaker(console: Console) -> Any:
    return lambda text: console.print(text, soft_wrap=True, markup=False, highlight=False)


def _states(trials: Sequence[FrozenTrial]) -> str:
    counts = Counter(trial.state for trial in trials)
    return ", ".join(f"{counts[state]} {name}" for state, name in STATES.items() if counts[state])


def _table(trials: Sequence[FrozenTrial], space: Space, plan: Plan, top: int) -> Table:
    """Show the best trials first, then those without a score, the latest first."""
    seeds = ", ".join(map(str, plan.seeds))
    table = Table(
        title="trials, the best first",
        title_justify="left",
        caption=f"score = mean over seeds ({seeds}) of the best return on validation tasks",
        caption_justify="left",
        box=None,
        pad_edge=False,
    )
    for heading in ("trial", "", "score", "by seed"):
        table.add_column(heading, justify="right" if heading in ("trial", "score") else "left")
    for key in space.searched:
        table.add_column(escape(key), overflow="fold")
    for trial in sorted(trials, key=_rank)[:top]:
        table.add_row(*map(escape, _cells(trial, space)))
    return table


def _rank(trial: FrozenTrial) -> tuple[bool, float, int]:
    scored = trial.state == TrialState.COMPLETE and trial.value is not None
    return (not scored, -(trial.value or 0.0) if scored else 0.0, -trial.number)


def _cells(trial: FrozenTrial, space: Space) -> list[str]:
    scored = trial.state == TrialState.COMPLETE
    score = f"{trial.value:.4g}" if scored else ""
    by_seed = " ".join(f"{x:.4g}" for x in trial.user_attrs.get(SCORES, ())) if scored else ""
    why = by_seed or trial.user_attrs.get(REASON, "")
    values = [trial.params.get(key, "") for key in space.searched]
    texts = [f"{x:.4g}" if isinstance(x, float) else text_of(x) for x in values]
    return [str(trial.number), STATES.get(trial.state, ""), score, why, *texts]


def _quoted(word: str) -> str:
    return word if all(c.isalnum() or c in "=._/+-@:," for c in word) else f"'{word}'"


def _write_preset(
    study: Study, best: FrozenTrial, words: Sequence[str], to: Path | None, say: Any
) -> None:
    path = to or study.folder / EXPERIMENT / "best.yaml"
    heading = [
        f"Trial {best.number} of {len(study.trials)} in a search over "
        + ", ".join(sorted(best.params))
        + ":",
        f"score {best.value:.4g} on validation tasks",
    ]
    try:
        text = preset_text(words, heading)
    except UserError as error:
        tell(f"no preset was written: {error}")
        return
    with writing_into(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    say(f"preset: {path}")
    if to is None:
        say(f"train it: metarl train --config-dir {study.folder} {EXPERIMENT}={path.stem}")
