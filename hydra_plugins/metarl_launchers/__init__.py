"""Hydra's way to our launchers; what they do stands in `metarl_cli.sweeps`.

Hydra imports every package below `hydra_plugins` at the start of every command: nothing heavy here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LocalPool(Launcher):
    """Runs the jobs of a sweep side by side on this machine (`hydra/launcher=local_pool`).

    Args:
        limits: see conf/hydra/launcher/local_pool.yaml; checked when jobs are launched.
    """

    def __init__(self, **limits: Any) -> None:
        self._limits = limits

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what `launch` needs."""
        self._loader, self._config = hydra_context.config_loader, config
        self._task: Any = task_function  # a `config.run.SweepTask`

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs in processes of their own; tell the task function how they ended."""
        from metarl_cli.sweeps.launch import Sweep, launch

        sweep = Sweep(self._config, self._loader.load_sweep_config)
        jobs = sweep.jobs(job_overrides, initial_job_idx)
        self._task.note(launch(sweep.folder, jobs, self._limits))
        done = JobReturn(status=JobStatus.COMPLETED)
        done.return_value = None
        return [done for _ in jobs]
