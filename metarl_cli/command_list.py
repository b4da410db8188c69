"""The words that may follow `metarl`, and where each leads; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metarl_cli.config import schema


@dataclass(frozen=True)
class Command:
    """A word of the command line; with a schema it is configured by Hydra."""

    target: str  # module:function
    summary: str
    config: str = ""
    schema: type | None = None
    changes_run: bool = False  # other keys than its own are settings of an earlier run
    starts_runs: bool = False  # other keys than its own are settings of the runs that it starts
    words: str = ""  # without a schema: what TAB offers
    switches: Mapping[str, str] = field(default_factory=dict)  # flags that stand for settings
    places: tuple[str, ...] = ()  # keys that words without `=` are values of; the last takes many


COMMANDS = {
    "train": Command(
        "metarl_cli.commands.train:run",
        "meta-train, then meta-test   env=nav2d algo=rl2 | resume=latest",
        "train",
        schema.TrainConfig,
    ),
    "eval": Command(
        "metarl_cli.commands.evaluate:run",
        "meta-test a checkpoint       checkpoint=latest threads=1",
        "eval",
        schema.EvalConfig,
        changes_run=True,
    ),
    "film": Command(
        "metarl_cli.commands.pictures.film:run",
        "pictures of a trial          checkpoint=latest task=0",
        "film",
        schema.FilmConfig,
        changes_run=True,
    ),
    "curves": Command(
        "metarl_cli.commands.pictures.curves:run",
        "how runs learn and adapt     runs=[RUN,RUN]",
        "curves",
        schema.CurvesConfig,
    ),
    "bench": Command(
        "metarl_cli.commands.bench.command:run",
        "steps per second             env=ant_vel algo=maml | bench suite",
        "bench",
        schema.BenchConfig,
    ),
    "list": Command(
        "metarl_cli.commands.listing:main",
        "show what there is           envs | algos | runs | algo=NAME",
        words="envs algos networks experiments budgets loggers runs "
        "env= algo= network= experiment= budget= logger=",
    ),
    "report": Command(
        "metarl_cli.commands.report:run",
        "many runs, side by side      RUN... to=FOLDER",
        "report",
        schema.ReportConfig,
        places=("runs",),
    ),
    "compare": Command(
        "metarl_cli.commands.compare:run",
        "is B worse than A?           A B bar=0.05",
        "compare",
        schema.CompareConfig,
        places=("first", "second"),
    ),
    "gallery": Command(
        "metarl_cli.commands.pictures.gallery:run",
        "pictures of environments     to=outputs/gallery",
        "gallery",
        schema.GalleryConfig,
    ),
    "sync": Command(
        "metarl_cli.commands.sync:run",
        "upload runs to W&B           runs=[RUN,RUN] rebuild=false",
        "sync",
        schema.SyncConfig,
    ),
    "tune": Command(
        "metarl_cli.commands.tune:run",
        "search for good settings     KEY=RANGE to=FOLDER | tune report",
        "tune",
        schema.TuneConfig,
        starts_runs=True,
    ),
    "publish": Command(
        "metarl_cli.commands.publish:run",
        "small copy of a run          checkpoint=latest to=FOLDER",
        "publish",
        schema.PublishConfig,
    ),
    "reproduce": Command(
        "metarl_cli.commands.reproduce:run",
        "repeat published results     point_nav-maml | --check",
        "reproduce",
        schema.ReproduceConfig,
        places=("rows",),
        switches={"--check": "check=true"},
    ),
    "doctor": Command(
        "metarl_cli.commands.doctor:main",
        "what works on this machine, and what is missing",
    ),
    "completion": Command(
        "metarl_cli.commands.completion:main",
        "TAB completes words          install | uninstall",
        words="install uninstall show",
    ),
}
RESUME = Command(
    "metarl_cli.commands.train:resume",
    "continue a run",
    "resume",
    schema.ResumeConfig,
    changes_run=True,
)
SECOND_WORDS = {  # of commands that have more to do than one thing
    "tune report": Command(
        "metarl_cli.commands.tune:report",
        "what a search has found",
        "tune_report",
        schema.TuneReportConfig,
    ),
    "bench suite": Command(
        "metarl_cli.commands.bench.suite:run",
        "many measurements, kept in a file",
        "bench_suite",
        schema.BenchSuiteConfig,
    ),
}
