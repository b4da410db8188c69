"""Where the program finds itself: the folder of what is not code, the cores, how busy they are."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def conf_dir() -> Path:
    """Return the folder of YAML configs: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def usable_cores() -> int:
    """Return how many cores this process may use: on Linux those that it was given.

    Of a job on Slurm no more than it asked for, which not every cluster enforces.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    asked = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(usable, int(asked)) if asked.isdecimal() and int(asked) else usable


def cores_in_use() -> float:
    """Return how many cores others keep busy: in the last minute or at this moment, the lesser.

    The average still counts the run that has just ended, a moment alone may be an unlucky one.
    """
    in_use = os.getloadavg()[0]
    with contextlib.suppress(OSError):  # only Linux tells what runs at this moment
        running = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
        in_use = min(in_use, int(running) - 1)  # without ourselves
    return in_use
