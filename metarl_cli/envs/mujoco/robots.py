"""The robots: MuJoCo models, most from the installed gymnasium package, and what to know of each.

A change to gymnasium's file is a fact about the source that ran it so: MAML on rllab (Finn et al.
2017), MAESN (Gupta et al. 2018), the random-dynamics walkers of PEARL (Rakelly et al. 2019).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np


@dataclass(frozen=True)
class Robot:
    """Facts about one model file, and changes to it (None: as it is)."""

    xml: str  # file name in gymnasium's assets, or in our own
    axes: int  # leading coordinates of qpos that are the root's place: x, or x and y; next is z
    timestep_s: float | None = None  # of the physics
    gear: float | None = None  # of all motors, N m per unit of control
    solimp: tuple[float, ...] | None = None  # contact impedance of all geoms
    start_numeric: str | None = None  # the model's custom numbers that are the start pose
    scaled_actions: bool = False  # actions in [-1, 1] stand for the whole range of the controls
    own: bool = False  # whether the file is in our own assets


ROBOTS = {
    "half_cheetah": Robot(xml="half_cheetah.xml", axes=1),
    "walker2d": Robot(xml="walker2d_v5.xml", axes=1),
    "hopper": Robot(xml="hopper.xml", axes=1),
    # For random dynamics: a coarser timestep, and feet of unequal friction as walkers used to have.
    "walker2d_params": Robot(xml="walker2d.xml", axes=1, timestep_s=0.004),
    "hopper_params": Robot(xml="hopper.xml", axes=1, timestep_s=0.004),
    "ant": Robot(xml="ant.xml", axes=2),
    # rllab's: there controls are +-150 at gear 1, and a wrapper scales actions from +-1 to them.
    "ant_maml": Robot(
        xml="ant.xml",
        axes=2,
        timestep_s=0.02,
        solimp=(0.8, 0.8, 0.01),
        start_numeric="init_qpos",
    ),
    "ant_low_gear": Robot(xml="ant.xml", axes=2, gear=30.0),  # MAESN's
    "humanoid": Robot(xml="humanoid.xml", axes=2, scaled_actions=True),
    "wheeled": Robot(xml="wheeled.xml", axes=2, scaled_actions=True, own=True),  # MAESN's
}

# Bytes of scratch memory per MjData (by default 14 MB): the humanoid was seen to use 32 kB.
_MEMORY = 2**20


def find_robot(name: str) -> Robot:
    """Return the facts about a robot, or raise ValueError for an unknown name."""
    if name not in ROBOTS:
        raise ValueError(f"robot: got {name!r}, expected one of {sorted(ROBOTS)}")
    return ROBOTS[name]


def compile_model(robot: Robot, *, contact_forces: bool = False) -> mujoco.MjModel:
    """Compile the robot's model: the same physics as gymnasium's but for the changes named above.

    Args:
        robot: which one.
        contact_forces: whether MuJoCo sums up the contact forces on each body when it computes
            accelerations: it does so only for a sensor that depends on them.
    """
    folder = Path(__file__).parent / "assets" if robot.own else _gymnasiums_assets()
    spec = mujoco.MjSpec.from_file(str(folder / robot.xml))
    spec.memory = _MEMORY
    _change(spec, robot)
    if contact_forces:
        kind, body = mujoco.mjtSensor.mjSENS_FRAMELINACC, mujoco.mjtObj.mjOBJ_BODY
        spec.add_sensor(type=kind, objtype=body, objname="torso")
    with warnings.catch_warnings():
        # gymnasium's half_cheetah.xml sets its mass (14 kg) with a deprecated attribute
        warnings.filterwarnings("ignore", message=".*settotalmass.*")
        return spec.compile()


def start_pose(model: mujoco.MjModel, robot: Robot) -> np.ndarray:
    """Return the coordinates from which episodes begin, before noise: `[Q]`, m and rad."""
    if robot.start_numeric is None:
        return model.qpos0.copy()
    return model.numeric(robot.start_numeric).data.copy()


def control_scale(model: mujoco.MjModel, robot: Robot) -> np.ndarray:
    """Return what an action of 1 means as a control, `[A]`."""
    if not robot.scaled_actions:
        return np.ones(model.nu)
    assert np.array_equal(model.actuator_ctrlrange[:, 0], -model.actuator_ctrlrange[:, 1])
    return model.actuator_ctrlrange[:, 1].copy()


def _gymnasiums_assets() -> Path:
    package = find_spec("gymnasium")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent / "envs" / "mujoco" / "assets"


def _change(spec: mujoco.MjSpec, robot: Robot) -> None:
    if robot.timestep_s is not None:
        spec.option.timestep = robot.timestep_s
    if robot.gear is not None:
        for actuator in spec.actuators:
            actuator.gear[0] = robot.gear
    if robot.solimp is not None:
        for geom in spec.geoms:
            geom.solimp[: len(robot.solimp)] = robot.solimp
