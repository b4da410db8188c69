"""`metarl doctor`: what works on this machine, what is missing, and what that costs."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metarl_cli.commands.parts import probes
from metarl_cli.commands.words.lines import hanging
from metarl_cli.core.errors import UserError
from metarl_cli.core.version import VERSION

State = Literal["ok", "missing", "broken"]
NEEDED = (
    *("torch", "mujoco", "gymnasium", "numpy", "scipy", "hydra-core", "omegaconf", "rich"),
    *("matplotlib", "pillow", "wandb"),
)
OUTPUTS = Path("outputs")
LITTLE_GIB = 1.0  # of free disk or memory
LEAST_GIB = 0.05  # less disk does not hold a run
SLOW_MB_S = 30.0
UNKNOWN = "unknown whether it works; a busy machine answers late, too"
PICTURES = "robots are drawn plainly, without MuJoCo's renderer"
# Extra of the distribution -> its module and what is not there without it.
EXTRAS = {
    "tensorboard": ("tensorboardX", "no logger=[tensorboard]"),
    "tune": ("optuna", "no metarl tune"),
    "slurm": ("submitit", "no hydra/launcher=slurm; sweeps run on this machine"),
    "ray": ("ray", "no hydra/launcher=ray; sweeps run on this machine or by Slurm"),
}


@dataclass(frozen=True)
class Finding:
    """One part of the machine."""

    what: str
    state: State
    found: str
    cost: str = ""  # what is not there, or slower
    remedy: str = ""  # the line to type


def main(arguments: Sequence[str]) -> int:
    """Print what was found; exit code 1 if something needed is broken."""
    if any(word in ("-h", "--help") for word in arguments):
        sys.stdout.write("metarl doctor: what works on this machine, and what is missing\n")
        return 0
    if arguments:
        raise UserError(f"metarl doctor takes no {arguments[0]}")
    trials = probes.Trials(probes.TRIALS)
    findings = [*_software(trials), *_machine(trials), *_places(), *_extras()]
    for finding in findings:
        sys.stdout.write("\n".join(_lines(finding)) + "\n")
    broken = [finding.what for finding in findings if finding.state == "broken"]
    summary = f"broken: {', '.join(broken)}" if broken else "all that is needed works"
    sys.stdout.write(f"\n{summary}\n")
    return 1 if broken else 0


def _software(trials: probes.Trials) -> Iterator[Finding]:
    python = platform.python_version()
    new_enough = sys.version_info >= (3, 11)
    cost = "" if new_enough else "metarl needs Python 3.11 or newer"
    found = f"{VERSION} on Python {python}, {platform.system()} {platform.machine()}"
    yield Finding("metarl", "ok" if new_enough else "broken", found, cost)
    versions = {name: probes.package_version(name) for name in NEEDED}
    absent = [name for name, number in versions.items() if number is None]
    rest = [f"{name} {x}" for name, x in versions.items() if x and name not in ("torch", "mujoco")]
    yield Finding("packages", "ok", ", ".join(rest))
    for name in absent:
        yield Finding(name, "broken", "not installed", "metarl needs it", f"pip install {name}")
    for name in ("torch", "mujoco"):
        if name not in absent:
            yield _library(name, *trials.outcome(name))


def _library(name: str, said: dict[str, object] | None, reason: str) -> Finding:
    if said is not None:
        threads = f", {said['threads']} threads" if "threads" in said else ""
        return Finding(name, "ok", f"{said['version']}{threads}")
    if not reason:
        return Finding(name, "missing", _late(), UNKNOWN)
    again = f"pip install --force-reinstall {name}"
    return Finding(name, "broken", f"cannot be used: {reason}", "metarl needs it", again)


def _machine(trials: probes.Trials) -> Iterator[Finding]:
    usable, total = probes.cores()
    load = os.getloadavg()[0]
    asked = os.environ.get("OMP_NUM_THREADS")
    found = f"{usable} of {total} may be used, load {load:.1f}"
    found += f", OMP_NUM_THREADS={asked}" if asked else ""
    busy = "other programs take the cores: training is slower" if load > usable else ""
    yield Finding("cores", "ok", found, busy)
    free, whole = probes.memory()
    little = "large batches and replays do not fit" if 0 < free < LITTLE_GIB else ""
    yield Finding("memory", "ok", f"{free:.1f} GiB free of {whole:.1f}", little)
    yield _gpu(*trials.outcome("torch"))
    yield _opengl({backend: trials.outcome(backend) for backend in probes.BACKENDS})


def _gpu(said: dict[str, object] | None, reason: str) -> Finding:
    if said is None:
        return Finding("GPU", "missing", "unknown: torch gave no answer")
    if said["gpu"]:
        return Finding("GPU", "ok", f"{said['gpu']}; device=cuda uses it")
    cost = "little: physics and small networks are faster on the CPU"
    return Finding("GPU", "missing", "none that torch can use", cost)


def _opengl(outcomes: dict[str, tuple[dict[str, object] | None, str]]) -> Finding:
    works = [name for name, (said, _) in outcomes.items() if said is not None]
    if works:
        return Finding("OpenGL", "ok", f"{', '.join(works)} (MUJOCO_GL chooses)")
    if all(not reason for _, reason in outcomes.values()):
        return Finding("OpenGL", "missing", _late(), UNKNOWN)
    remedy = "apt-get install libegl1 libosmesa6"
    return Finding("OpenGL", "missing", "neither EGL, OSMesa nor GLFW works", PICTURES, remedy)


def _places() -> Iterator[Finding]:
    yield _wandb()
    try:
        free, speed = probes.disk(OUTPUTS)
    except OSError as error:
        why = error.strerror or str(error)
        cost = "runs cannot be kept: go to another folder, or set hydra.run.dir"
        yield Finding("outputs/", "broken", f"cannot be written: {why}", cost)
        return
    cost = "" if free >= LITTLE_GIB else "runs with replays or many checkpoints do not fit"
    cost = cost or ("" if speed >= SLOW_MB_S else "checkpoints with replays take long to save")
    state: State = "broken" if free < LEAST_GIB else "ok"
    yield Finding("outputs/", state, f"{free:.1f} GiB free, writes {speed:.0f} MB/s", cost)


def _wandb() -> Finding:
    mode = os.environ.get("WANDB_MODE")
    if mode in ("offline", "disabled"):
        return Finding("W&B", "ok", f"WANDB_MODE={mode}")
    if place := probes.wandb_login():
        return Finding("W&B", "ok", place)
    cost = "runs are kept offline, to be uploaded later; metrics.jsonl is complete anyway"
    return Finding("W&B", "missing", "no API key", cost, "wandb login")


def _extras() -> Iterator[Finding]:
    if shutil.which("sbatch"):
        yield Finding("Slurm", "ok", f"sbatch at {shutil.which('sbatch')}")
    else:
        yield Finding("Slurm", "missing", "no sbatch", "no jobs on a cluster from this machine")
    if shutil.which("torchrun") or probes.has_module("torch.distributed.run"):
        yield Finding("torchrun", "ok", "one training on several processes")
    else:
        yield Finding("torchrun", "missing", "comes with torch", "one process per training")
    for extra, (module, cost) in EXTRAS.items():
        if probes.has_module(module):
            found = probes.package_version(module) or "installed"
            yield Finding(extra, "ok", f"{module} {found}")
        else:
            remedy = f"pip install 'metarl-cli[{extra}]'"
            yield Finding(extra, "missing", f"no {module}", cost, remedy)


def _late() -> str:
    return f"no answer within {probes.PATIENCE_S:g} s"


def _lines(finding: Finding) -> list[str]:
    """Return the lines of a finding: state, what, what was found; costs and remedy below."""
    lines = hanging(f"{finding.state:8} {finding.what:12} ", finding.found)
    if finding.cost:
        lines += hanging(f"{'':21} costs: ", finding.cost)
    if finding.remedy:
        lines.append(f"{'':21} mend:  {finding.remedy}")
    return lines
