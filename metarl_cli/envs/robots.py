"""The robots: MuJoCo models from the installed gymnasium package, and what to know of each."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import mujoco


@dataclass(frozen=True)
class Robot:
    """Facts about one model file."""

    xml: str  # file name in gymnasium's assets
    root: str  # body at the top of the robot: its subtree is the whole robot
    axes: int  # leading coordinates of qpos that are the root's place in the world: x, or x and y
    memory: int  # bytes for contacts and constraints, per simulation; small, to stay in the cache


ROBOTS = {
    # the most that random actions and poses were seen to need is 42 kB
    "half_cheetah": Robot(xml="half_cheetah.xml", root="torso", axes=1, memory=2**17),
}

# The values of the added sensors, in this order: [6] = position, m, then velocity, m/s.
_CENTER_OF_MASS_SENSORS = {
    "center_of_mass": mujoco.mjtSensor.mjSENS_SUBTREECOM,
    "center_of_mass_velocity": mujoco.mjtSensor.mjSENS_SUBTREELINVEL,
}


def find_robot(name: str) -> Robot:
    """Return the facts about a robot, or raise ValueError for an unknown name."""
    if name not in ROBOTS:
        raise ValueError(f"robot: got {name!r}, expected one of {sorted(ROBOTS)}")
    return ROBOTS[name]


def compile_model(robot: Robot, *, center_of_mass: bool) -> mujoco.MjModel:
    """Compile the robot's model: the same physics as gymnasium's.

    Args:
        robot: which model.
        center_of_mass: whether to add sensors of the whole body's centre of mass: position and
            velocity, 3 + 3 numbers at the end of `sensordata`.
    """
    package = find_spec("gymnasium")
    assert package is not None and package.origin is not None
    folder = Path(package.origin).parent / "envs" / "mujoco" / "assets"
    spec = mujoco.MjSpec.from_file(str(folder / robot.xml))
    spec.nstack, spec.memory = -1, robot.memory  # the file's own figure gives 6 MB
    if center_of_mass:
        for name, kind in _CENTER_OF_MASS_SENSORS.items():
            spec.add_sensor(
                name=name, type=kind, objtype=mujoco.mjtObj.mjOBJ_BODY, objname=robot.root
            )
    with warnings.catch_warnings():
        # gymnasium's half_cheetah.xml sets its mass (14 kg) with a deprecated attribute
        warnings.filterwarnings("ignore", message=".*settotalmass.*")
        return spec.compile()
