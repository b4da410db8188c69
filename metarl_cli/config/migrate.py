"""Frozen configurations of earlier versions, brought up to the present one.

A run stays evaluable when names change: what a version renamed or dropped stands here, and nowhere
in the code that the settings are for.
"""

from __future__ import annotations

from typing import Any

# Classes that moved, without the leading `metarl_cli.`
MOVED = {
    "algorithms.dream.Bottleneck": "algorithms.dream.dream.Bottleneck",
    "algorithms.dream.Dream": "algorithms.dream.dream.DREAM",
    "algorithms.hyperx.Exploration": "algorithms.varibad.hyperx.Exploration",
    "algorithms.hyperx.HyperX": "algorithms.varibad.hyperx.HyperX",
    "algorithms.informed.Informed": "algorithms.import_.import_.IMPORT",
    "algorithms.maml.MAML": "algorithms.maml.maml.MAML",
    "algorithms.pearl.Collection": "algorithms.pearl.pearl.Collection",
    "algorithms.pearl.PEARL": "algorithms.pearl.pearl.PEARL",
    "algorithms.task_inference.Supervision": "algorithms.varibad.task_inference.Supervision",
    "algorithms.task_inference.TaskInference": "algorithms.varibad.task_inference.TaskInference",
    "algorithms.varibad.Elbo": "algorithms.varibad.varibad.Elbo",
    "algorithms.varibad.VariBAD": "algorithms.varibad.varibad.VariBAD",
    "envs.bandit.BernoulliBandit": "envs.tabular.bandit.BernoulliBandit",
    "envs.block_push.BlockPush": "envs.mujoco.block_push.BlockPush",
    "envs.bus_city.BusCity": "envs.grids.bus_city.BusCity",
    "envs.cooking.Cooking": "envs.grids.cooking.Cooking",
    "envs.gridworld.GridNavigation": "envs.grids.gridworld.GridNavigation",
    "envs.maze.Maze": "envs.maze.maze.Maze",
    "envs.maze.VectorView": "envs.maze.maze.VectorView",
    "envs.maze3d.CameraView": "envs.maze.maze3d.CameraView",
    "envs.mujoco.MujocoTaskEnv": "envs.mujoco.locomotion.MujocoTaskEnv",
    "envs.objectives.Direction": "envs.mujoco.objectives.Direction",
    "envs.objectives.DiscGoal": "envs.mujoco.objectives.DiscGoal",
    "envs.objectives.Forward": "envs.mujoco.objectives.Forward",
    "envs.objectives.Heading": "envs.mujoco.objectives.Heading",
    "envs.objectives.SemicircleGoal": "envs.mujoco.objectives.SemicircleGoal",
    "envs.objectives.Velocity": "envs.mujoco.objectives.Velocity",
    "envs.point.PointNav": "envs.points.point.PointNav",
    "envs.point.PointSemicircle": "envs.points.point.PointSemicircle",
    "envs.sign.SignNav": "envs.sign.sign.SignNav",
    "envs.tabular_mdp.TabularMDP": "envs.tabular.tabular_mdp.TabularMDP",
}


def migrate(values: Any) -> Any:
    """Return the settings of a frozen config under the names they have now."""
    if isinstance(values, list):
        return [migrate(item) for item in values]
    if not isinstance(values, dict):
        return values
    return {
        key: _present_name(item) if key == "_target_" else migrate(item)
        for key, item in values.items()
    }


def _present_name(target: Any) -> Any:
    prefix, _, name = str(target).partition(".")
    return f"{prefix}.{MOVED.get(name, name)}"
