"""metarl: meta-reinforcement learning from the command line, and from Python.

`import metarl_cli as metarl` offers `load`, `make`, `evaluate`, `compose`: see `library`. Importing
it is cheap; torch and Hydra come with the first use of one of them.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from metarl_cli.core.paths import cores_in_use
from metarl_cli.core.version import VERSION

if TYPE_CHECKING:
    from metarl_cli.library import TrainedAgent, compose, evaluate, load, make

__version__ = VERSION
__all__ = ["TrainedAgent", "__version__", "compose", "evaluate", "load", "make"]

# Idle OpenMP threads must sleep, not spin: they would take the cores from the physics threads (and
# from any other program). On a calm machine not at once, though: small networks pay a wake-up for
# every operation, and learn at little more than half the speed. Where others use the same cores, a
# short spin costs more than it gains: docs/speed.md has both. Read once, when torch is first
# imported; whoever has set the policy knows better. Results do not depend on it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if cores_in_use() < (os.cpu_count() or 1) / 2:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("metarl_cli.library"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
