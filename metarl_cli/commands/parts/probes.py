"""Looks at this machine, part by part; nothing heavy is imported, nothing raises.

Libraries that may be broken are tried in processes of their own, all at once.
"""

from __future__ import annotations

import contextlib
import json
import netrc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from metarl_cli.core.paths import usable_cores

PATIENCE_S = 20.0  # for all trials together: a very first import reads all of torch from the disk
GIB = 2**30
SPEED_BYTES = 8 * 2**20  # written to measure the disk
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
BACKENDS = ("egl", "osmesa", "glfw")
# Each prints one line of JSON.
TRIALS = {
    "torch": """
import json, torch
gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
torch.ones(2, 2) @ torch.ones(2, 2)
print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads(), "gpu": gpu}))
""",
    "mujoco": """
import json, mujoco
model = mujoco.MjModel.from_xml_string("<mujoco/>")
mujoco.mj_step(model, mujoco.MjData(model))
print(json.dumps({"version": mujoco.__version__}))
""",
} | {
    backend: f"""
import importlib, mujoco
context = importlib.import_module("mujoco.{backend}").GLContext(8, 8)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), 100).free()
print("{{}}")
"""
    for backend in BACKENDS
}


class Trials:
    """Tries libraries in processes that begin at once; what each says is asked for later."""

    def __init__(self, programs: Mapping[str, str], patience_s: float = PATIENCE_S) -> None:
        self._end_s = time.monotonic() + patience_s
        environment = {key: value for key, value in os.environ.items() if key != "MUJOCO_GL"}
        self._running = {
            name: subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for name, code in programs.items()
        }

    def outcome(self, name: str) -> tuple[dict[str, object] | None, str]:
        """Return what a library said of itself, or None and the reason.

        The reason is empty if there was no answer in time, which a busy machine does, too.
        """
        process = self._running[name]
        try:
            out, err = process.communicate(timeout=max(0.0, self._end_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None, ""
        if process.returncode == 0:
            with contextlib.suppress(ValueError, IndexError):
                return json.loads(out.splitlines()[-1]), ""
        lines = err.strip().splitlines() or [f"it ended with {process.returncode}"]
        return None, lines[-1].strip()


def package_version(name: str) -> str | None:
    """Return the version of an installed distribution, None if there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def has_module(name: str) -> bool:
    """Whether a module can be found, without importing it."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def cores() -> tuple[int, int]:
    """Return how many cores this process may use, and how many there are."""
    return usable_cores(), os.cpu_count() or 1


def memory() -> tuple[float, float]:
    """Return free and total memory in GiB, within the limits of a container; 0 if unknown."""
    facts: dict[str, float] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            facts[name] = float(rest.split()[0]) * 1024 / GIB
    free, total = facts.get("MemAvailable", 0.0), facts.get("MemTotal", 0.0)
    for place in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            limit = float(Path(place).read_text(encoding="ascii")) / GIB
            free, total = min(free, limit), min(total, limit)
    return free, total


def wandb_login() -> str:
    """Say where W&B finds an API key, an empty text if nowhere; without the network."""
    if os.environ.get("WANDB_API_KEY"):
        return "an API key in WANDB_API_KEY"
    place = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        hosts = netrc.netrc(str(place)).hosts
    except (OSError, netrc.NetrcParseError):
        return ""
    server = os.environ.get("WANDB_BASE_URL", "").partition("//")[2].partition("/")[0]
    found = [host for host in hosts if host == server or "wandb" in host]
    return f"an API key for {found[0]} in {place}" if found else ""


def disk(folder: Path) -> tuple[float, float]:
    """Return the free space (GiB) and the write speed (MB/s) of a folder or its nearest parent.

    Raises:
        OSError: nothing can be written there.
    """
    place = next(
        parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists()
    )
    free = shutil.disk_usage(place).free / GIB
    with tempfile.TemporaryFile(dir=place) as file:
        start_s = time.monotonic()
        file.write(os.urandom(SPEED_BYTES))
        file.flush()
        os.fsync(file.fileno())
        elapsed_s = max(time.monotonic() - start_s, 1e-6)
    return free, SPEED_BYTES / 1e6 / elapsed_s
