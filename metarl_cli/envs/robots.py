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
    axes: int  # leading coordinates of qpos that are the root's place in the world: x, or x and y


ROBOTS = {
    "half_cheetah": Robot(xml="half_cheetah.xml", axes=1),
}


def find_robot(name: str) -> Robot:
    """Return the facts about a robot, or raise ValueError for an unknown name."""
    if name not in ROBOTS:
        raise ValueError(f"robot: got {name!r}, expected one of {sorted(ROBOTS)}")
    return ROBOTS[name]


def compile_model(robot: Robot) -> mujoco.MjModel:
    """Compile the robot's model: the same physics as gymnasium's."""
    package = find_spec("gymnasium")
    assert package is not None and package.origin is not None
    folder = Path(package.origin).parent / "envs" / "mujoco" / "assets"
    spec = mujoco.MjSpec.from_file(str(folder / robot.xml))
    with warnings.catch_warnings():
        # gymnasium's half_cheetah.xml sets its mass (14 kg) with a deprecated attribute
        warnings.filterwarnings("ignore", message=".*settotalmass.*")
        return spec.compile()
