"""What proposes the settings of the next trial, from all trials so far."""

from __future__ import annotations

import inspect
import warnings
from importlib.util import find_spec

import numpy as np
import optuna
from optuna.samplers import BaseSampler

from metarl_cli.core.errors import UserError

SAMPLERS = {
    "tpe": "TPESampler",
    "cmaes": "CmaEsSampler",
    "gp": "GPSampler",
    "qmc": "QMCSampler",
    "nsga": "NSGAIISampler",
    "random": "RandomSampler",
}
PACKAGES = {"cmaes": "cmaes", "gp": "scipy"}  # that Optuna wants for one of them


def require_sampler(name: str) -> None:
    """Raise a UserError if a sampler lacks its package."""
    package = PACKAGES.get(name)
    if package and find_spec(package) is None:
        raise UserError(f"sampler={name} needs {package}: pip install {package}")


def sampler_for(name: str, *, seed: int, trial: int, random_trials: int) -> BaseSampler:
    """Build the sampler of one trial.

    Its random numbers follow from the seed and the number of the trial, never from the process
    that asks: a study that is continued proposes what it would have proposed, and two processes
    never propose the same.

    Args:
        name: one of `SAMPLERS`.
        seed: of the whole study.
        trial: number of the trial.
        random_trials: so many at the beginning are drawn at random, where the sampler has a choice.
    """
    sampler = getattr(optuna.samplers, SAMPLERS[name])
    options = {
        "seed": int(np.random.SeedSequence([seed, trial]).generate_state(1)[0]),
        "n_startup_trials": random_trials,
        "warn_independent_sampling": False,  # of choices, which some of them leave to chance
        "warn_asynchronous_seeding": False,
    }
    known = inspect.signature(sampler).parameters
    with warnings.catch_warnings():
        for kind in (optuna.exceptions.ExperimentalWarning, FutureWarning):  # of options above
            warnings.simplefilter("ignore", kind)
        return sampler(**{key: value for key, value in options.items() if key in known})
