"""The centre of mass of a robot: where it is and how it moves.

MuJoCo computes it after a step only together with collisions and inertias at the new state. For
robots in space that is done; in the x-z plane it would take half as long as the step itself, while
for chains of hinges in a plane the centre of mass is a sum of sines.
"""

from __future__ import annotations

import mujoco
import numpy as np

from metarl_cli.envs.physics import Physics


class SpatialCenterOfMass:
    """Place and velocity of the whole body's centre of mass, as MuJoCo computes them.

    Args:
        places: live view of the centres of mass of all subtrees of bodies, `[B, 1 + bodies, 3]`.
        velocities: the same of their velocities; a sensor has to ask MuJoCo for them.
    """

    def __init__(self, places: np.ndarray, velocities: np.ndarray) -> None:
        self.position = places[:, 1]  # [B, 3], m
        self.velocity = velocities[:, 1, :2]  # [B, 2], m/s

    def refresh(self) -> None:
        """Do nothing: the physics has written both."""


class PlanarCenterOfMass:
    """Place and velocity of the whole body's centre of mass.

    It is the place of the root + the sum over bodies of R(angle of body) @ arm of body. The arm is
    the sum, in the body's own frame, of its centre and of where its children sit, each weighted
    with the share of the whole mass that hangs there.

    Args:
        physics: of a robot whose first two coordinates are slides of the root along x and z, and
            whose others are hinges about y, one per body, all zero in the default pose.
    """

    def __init__(self, physics: Physics) -> None:
        model = physics.model
        if not _is_planar(model):
            raise ValueError("center_of_mass: this robot is not a tree of hinges in the x-z plane")
        total = model.body_subtreemass[0]
        arms = model.body_ipos * (model.body_mass / total)[:, None]
        for body in range(2, model.nbody):
            share = model.body_subtreemass[body] / total
            arms[model.body_parentid[body]] += share * model.body_pos[body]
        self._arm_x, self._arm_z = arms[1:, 0, None], arms[1:, 2, None]  # [bodies, 1], m
        self._root = model.body_pos[1].copy()  # m, where the slides are zero
        self._parents = [int(parent) - 1 for parent in model.body_parentid[2:]]
        self._qpos, self._qvel = physics.qpos, physics.qvel
        self.position = np.zeros((len(self._qpos), 3))  # x, y, z, m
        self.velocity = np.zeros((len(self._qpos), 1))  # along x, m/s

    def refresh(self) -> None:
        """Compute place and velocity of the present state."""
        qpos, qvel = self._qpos, self._qvel
        angle, rate = self._sum_along_chains(qpos), self._sum_along_chains(qvel)  # [bodies, B]
        cos, sin = np.cos(angle), np.sin(angle)
        x = self._arm_x * cos + self._arm_z * sin
        z = self._arm_z * cos - self._arm_x * sin
        self.position[:, 0] = self._root[0] + qpos[:, 0] + x.sum(axis=0)
        self.position[:, 1] = self._root[1]
        self.position[:, 2] = self._root[2] + qpos[:, 1] + z.sum(axis=0)
        rate *= z  # dx/d angle = z
        self.velocity[:, 0] = qvel[:, 0] + rate.sum(axis=0)

    def _sum_along_chains(self, coordinates: np.ndarray) -> np.ndarray:
        """Add up the hinges from the root to each body: `[B, Q]` to `[bodies, B]`."""
        sums = coordinates[:, 2:].T.copy()
        for body, parent in enumerate(self._parents, start=1):
            sums[body] += sums[parent]
        return sums


def _is_planar(model: mujoco.MjModel) -> bool:
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    num_hinges = model.njnt - 2
    axes = [[1, 0, 0], [0, 0, 1]] + [[0, 1, 0]] * num_hinges
    return bool(
        model.jnt_type.tolist() == [slide, slide] + [hinge] * num_hinges
        and model.jnt_bodyid.tolist() == [1, 1, *range(1, model.nbody)]
        and np.array_equal(model.jnt_axis, axes)
        and np.array_equal(model.body_quat, [[1, 0, 0, 0]] * model.nbody)
        and not model.jnt_pos.any()
        and not model.qpos0.any()
    )
