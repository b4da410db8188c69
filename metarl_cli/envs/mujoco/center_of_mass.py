"""The centre of mass of a robot, where it is and how it moves, from the robot's coordinates alone.

MuJoCo computes it after a step only together with collisions and inertias at the new state; for
trees of hinges it is a sum of rotated vectors. Measured in turns with MuJoCo's own (a sensor of
`subtree_linvel`, computed up to the stage of velocities), 64 environments, one thread: in the plane
the environment is 1.4 times as fast (cheetah_vel_maml, 76 against 53 thousand steps/s). In space
there is no gain (ant_vel_maml, 1.01); it stays so that the numbers of these environments do.

The centre of mass lies at the place of the root + the sum over bodies of R(body) @ arm(body). The
arm is the sum, in the body's own frame, of its centre and of where its children sit, each weighted
with the share of the whole mass that hangs there.
"""

from __future__ import annotations

import mujoco
import numpy as np

from metarl_cli.envs.mujoco.physics import Physics

_JOINT = mujoco.mjtJoint


class PlanarCenterOfMass:
    """Place and velocity of the centre of mass of a robot that moves in the x-z plane.

    Args:
        physics: of a robot whose first two coordinates are slides of the root along x and z, and
            whose others are hinges about y, one per body, all zero in the default pose: see
            `require_hinges`.
    """

    def __init__(self, physics: Physics) -> None:
        model = physics.model
        arms = _arms(model)
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


class SpatialCenterOfMass:
    """Place and velocity of the centre of mass of a robot that moves in space.

    Args:
        physics: of a robot with a free root, whose other joints are hinges, at most one per body
            and at its origin, and whose bodies are all aligned in the default pose: see
            `require_hinges`.
    """

    def __init__(self, physics: Physics) -> None:
        model = physics.model
        self._arms, parents = _arms(model), model.body_parentid.copy()
        for body in range(model.nbody - 1, 1, -1):  # what cannot turn is part of its parent
            if not model.body_jntnum[body]:
                self._arms[parents[body]] += self._arms[body]
                parents[parents == body] = parents[body]
        self._levels = _levels(model, parents)
        self._qpos, self._qvel = physics.qpos, physics.qvel
        self.position = np.zeros((len(self._qpos), 3))  # x, y, z, m
        self.velocity = np.zeros((len(self._qpos), 2))  # along x and y, m/s
        self.rotation = np.zeros((len(self._qpos), 9))  # of the root: a matrix, row by row

    def refresh(self) -> None:
        """Compute place and velocity of the present state, and the rotation of the root."""
        num_envs = len(self._qpos)
        sums = np.zeros((len(self._arms), 3, 2, num_envs))  # arms + what hangs on them, and rates
        sums[:, :, 0] = self._arms[:, :, None]
        for level in self._levels:  # from the tips to the root
            turned = level.turn(sums[level.bodies], self._qpos, self._qvel)
            for body, parent in enumerate(level.parents):
                sums[parent] += turned[body]
        arm, rate = sums[1].swapaxes(0, 1)  # [3, B] each, in the frame of the root
        rate = rate + _cross(self._qvel[:, 3:6].T, arm)
        rows = _matrix(self._qpos[:, 3:7])
        for i, (x, y, z) in enumerate(rows):
            self.position[:, i] = self._qpos[:, i] + (x * arm[0] + y * arm[1] + z * arm[2])
            self.rotation[:, 3 * i : 3 * i + 3] = np.stack([x, y, z], axis=1)
        for i, (x, y, z) in enumerate(rows[:2]):
            self.velocity[:, i] = self._qvel[:, i] + (x * rate[0] + y * rate[1] + z * rate[2])


class _Level:
    """Bodies equally many hinges away from the root, which turn at once."""

    def __init__(self, model: mujoco.MjModel, bodies: list[int], parents: np.ndarray) -> None:
        joints = model.body_jntadr[bodies]
        self.bodies, self.parents = bodies, parents[bodies].tolist()
        self._angles, self._rates = model.jnt_qposadr[joints], model.jnt_dofadr[joints]
        self._axes = model.jnt_axis[joints].T[..., None, None]  # [3, n, 1, 1]

    def turn(self, vectors: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        """Rotate vectors and their rates `[n, 3, 2, B]` from the bodies' frames to the parents'.

        Rodrigues' formula; a vector that turns changes at the rate of the hinge times axis x it.
        """
        angle = np.ascontiguousarray(qpos[:, self._angles].T)[:, None, None]  # [n, 1, 1, B]
        once = self._times_axis(vectors)
        turned = vectors + np.sin(angle) * once
        turned += (1.0 - np.cos(angle)) * self._times_axis(once)
        turned[:, :, 1] += (
            qvel[:, self._rates].T[:, None] * self._times_axis(turned[:, :, :1])[:, :, 0]
        )
        return turned

    def _times_axis(self, vectors: np.ndarray) -> np.ndarray:
        return _cross(self._axes, vectors.swapaxes(0, 1)).swapaxes(0, 1)


def _cross(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return left x right, whose first axis is x, y, z.

    Unlike matrix products, plain ones do not depend on how many environments there are.
    """
    out = np.empty(np.broadcast_shapes(left.shape, right.shape))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        out[i] = left[j] * right[k] - left[k] * right[j]
    return out


def _arms(model: mujoco.MjModel) -> np.ndarray:
    """Return the arms of all bodies, the world first, `[1 + bodies, 3]`, m."""
    total = model.body_subtreemass[0]
    arms = model.body_ipos * (model.body_mass / total)[:, None]
    for body in range(2, model.nbody):
        share = model.body_subtreemass[body] / total
        arms[model.body_parentid[body]] += share * model.body_pos[body]
    return arms


def _levels(model: mujoco.MjModel, parents: np.ndarray) -> list[_Level]:
    """Group the bodies that have a hinge, those farthest from the root first."""
    depths = {1: 0}
    for body in range(2, model.nbody):
        if model.body_jntnum[body]:
            depths[body] = depths[int(parents[body])] + 1
    deepest = max(depths.values())
    groups = ([b for b in depths if depths[b] == depth] for depth in range(deepest, 0, -1))
    return [_Level(model, group, parents) for group in groups]


def _matrix(quaternion: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the rows of the rotations, entries `[B]`, of quaternions `[B, 4]` of any length."""
    w, x, y, z = quaternion.T
    length = np.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = w / length, x / length, y / length, z / length
    return [
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]


def require_hinges(model: mujoco.MjModel, *, planar: bool) -> None:
    """Raise ValueError for a robot whose centre of mass is no sum of rotated vectors."""
    if planar and not _is_planar(model):
        raise ValueError("center_of_mass: this robot is not a tree of hinges in the x-z plane")
    if not planar and not _is_spatial(model):
        raise ValueError("center_of_mass: this robot is not a tree of hinges on a free root")


def _is_planar(model: mujoco.MjModel) -> bool:
    slide, hinge = _JOINT.mjJNT_SLIDE, _JOINT.mjJNT_HINGE
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


def _is_spatial(model: mujoco.MjModel) -> bool:
    free, hinge = _JOINT.mjJNT_FREE, _JOINT.mjJNT_HINGE
    return bool(
        model.jnt_type.tolist() == [free] + [hinge] * (model.njnt - 1)
        and model.jnt_bodyid[0] == 1
        and model.body_jntnum.max() == 1
        and np.array_equal(model.body_quat, [[1, 0, 0, 0]] * model.nbody)
        and not model.jnt_pos.any()
        and not model.qpos0[7:].any()
    )
