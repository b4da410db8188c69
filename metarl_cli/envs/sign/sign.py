"""Visual navigation: a sign behind a wall names the colour of the object to go to.

Liu et al. 2021 (DREAM, arXiv:2008.02790), section 6.3; layout, sizes, rewards and actions are those
of their code and of MiniWorld's Sign-v0 (Farama Foundation), the pictures are our ray caster's.

Differences from the originals: light falls from one side everywhere, textures are our own, and
objects need no collision test, for the episode ends before an agent can run into one.
"""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

from metarl_cli.core.checks import require_not_negative, require_positive
from metarl_cli.envs.base.batch import Arrays, NumpyBatch, NumpyFamily, Outcome
from metarl_cli.envs.raycast.camera import LevelCamera
from metarl_cli.envs.raycast.raycaster import RayCaster
from metarl_cli.envs.raycast.scene import Boxes, World, clearance, cube, join, key
from metarl_cli.envs.raycast.textures import lettering, plain, speckled, tiled
from metarl_cli.envs.sign.picture import draw_sign_nav

WORDS = ("BLUE", "RED", "GREEN")  # by task
COLOURS = ((0, 0, 255), (255, 0, 0), (0, 255, 0))
SHAPES = ("box", "key")  # by instruction
OBJECTS = np.array(  # x, z of each shape in each colour, m
    [[[1.0, 1.0], [9.0, 1.0], [9.0, 5.0]], [[5.0, 1.0], [1.0, 5.0], [1.0, 9.0]]]
)
_OUTLINE = [  # of the U-shaped floor; a wall of 0.25 m stands between its arms
    *((0.0, 0.0), (10.0, 0.0), (10.0, 6.5), (6.0, 6.5)),
    *((6.0, 6.75), (10.0, 6.75), (10.0, 13.0), (0.0, 13.0)),
]
WALLS = np.stack([_OUTLINE, np.roll(_OUTLINE, -1, axis=0)], axis=1)  # [8, 2, 2]
_WALL_HEIGHT = 2.74  # m
_BOX_SIDE = 0.8  # m
_START_LOW, _START_HIGH = (
    np.array([4.0, 4.0]),
    np.array([5.0, 6.0]),
)  # widened by the agent's radius
_SIGN_Z = 10.25  # m, on the east wall; each letter is 1 m wide

LEFT, RIGHT, FORWARD, END = range(4)  # actions


class SignNav(NumpyFamily):
    """Touch the object of the sign's colour and the instruction's shape: +1, any other: -1.

    The task is the colour; the instruction (box or key) is drawn anew in each episode and observed
    beside the image. Actions: turn left, turn right, go forward (not into walls), end the episode.
    Touching any of the six objects ends it, too. Objects stand at fixed places, turned at random.

    Args:
        forward_step: m.
        turn_angle: degrees.
        agent_radius: distance that the agent keeps from walls, m.
        box_radius: radius of a box where touching is concerned, m.
        key_radius: radius of a key, m.
        touch_slack: an object is touched from closer than its radius plus `agent_radius` plus this
            many forward steps.
        image_width: pixels.
        image_height: pixels.
        field_of_view: vertical, degrees.
        eye_height: m.
        horizon: steps per episode.
    """

    info_keys = ("success", "unstable")
    all_tasks = np.arange(3.0)[:, None]
    start_shows_task = True  # where the sign's edge can be seen past the corner

    def __init__(
        self,
        *,
        forward_step: float,
        turn_angle: float,
        agent_radius: float,
        box_radius: float,
        key_radius: float,
        touch_slack: float,
        image_width: int,
        image_height: int,
        field_of_view: float,
        eye_height: float,
        horizon: int,
    ) -> None:
        require_positive(
            forward_step=forward_step,
            turn_angle=turn_angle,
            box_radius=box_radius,
            key_radius=key_radius,
        )
        require_not_negative(agent_radius=agent_radius, touch_slack=touch_slack)
        self.camera = LevelCamera(
            image_width, image_height, float(np.deg2rad(field_of_view)), eye_height
        )
        image = Box(0, 255, (image_height, image_width, 3), np.uint8)
        super().__init__(
            observation_space=Dict({"image": image, "instruction": Discrete(len(SHAPES))}),
            action_space=Discrete(4),
            task_space=Box(0.0, len(WORDS) - 1.0, (1,), np.float64),
            task_names=("colour",),
            horizon=horizon,
        )
        self.forward_step, self.turn_angle = forward_step, np.deg2rad(turn_angle)
        self.agent_radius = agent_radius
        radius = np.array([[box_radius], [key_radius]])
        self.touch = radius + agent_radius + touch_slack * forward_step  # [2, 1]: by shape, m

    def batch(self, num_envs: int, *, threads: int = 1) -> SignBatch:
        """Return agents in front of the wall that hides the sign."""
        return SignBatch(self, num_envs, threads)

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return the returns of ending at once and, if time suffices, of two that go straight.

        "blind_guess" goes to an object of the right shape in a random colour, "oracle" is told the
        colour (DREAM reaches it by reading the sign in the first episode of a trial).
        """
        known: dict[str, tuple[float, ...]] = {"end_at_once": (0.0,)}
        if self.horizon >= self.longest_way():
            guess = (1.0 - (len(WORDS) - 1)) / len(WORDS)
            known |= {"blind_guess": (guess,), "oracle": (1.0,)}
        return known

    def longest_way(self) -> int:
        """Return how many steps suffice to touch any object from any start.

        Turn about, then go in two of the possible directions, at most half a turn angle off the
        straight line, hence at most `1 / cos` of the distance and one more step for rounding. That
        leaves room for the few starts from which another object is in the way.
        """
        low, high = self.start_range()
        corners = np.array([[x, z] for x in (low[0], high[0]) for z in (low[1], high[1])])
        distance = np.linalg.norm(OBJECTS[:, :, None] - corners, axis=-1).max(axis=-1) - self.touch
        moves = np.ceil(distance.max() / (self.forward_step * np.cos(self.turn_angle / 2))) + 1
        return int(np.ceil(np.pi / self.turn_angle) + 1 + moves)

    def start_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners of where episodes begin, `[2]` each: x and z, m."""
        return _START_LOW - self.agent_radius, _START_HIGH + self.agent_radius

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, 1]` to colours `[num, 1]`."""
        return np.floor(len(WORDS) * uniform)


class SignBatch(NumpyBatch[SignNav]):
    """Agents, each with its own sign, instruction and turned objects.

    Attributes:
        pose: x, z, heading, `[B, 3]`.
        object_heading: `[B, shape, colour]`.
        instruction: `[B]`.
        boxes: what stands in the way of a view; made anew by `furniture`.
        moved: whether anything has changed since the image was rendered, `[B]`.
    """

    def __init__(self, family: SignNav, num_envs: int, threads: int) -> None:
        super().__init__(family, num_envs)
        camera = family.camera
        self._ray_caster = RayCaster(_world(), camera, threads)
        self.pose = np.zeros((num_envs, 3))
        self.object_heading = np.zeros((num_envs, *OBJECTS.shape[:2]))
        self.instruction = np.zeros(num_envs, np.int64)
        self.boxes = self.furniture(np.arange(num_envs))
        self.moved = np.zeros(num_envs, bool)
        self._images = np.zeros((num_envs, camera.height, camera.width, 3), np.uint8)

    def initialize(self, rows: np.ndarray) -> None:
        """Draw poses, instructions and headings of the objects."""
        uniform = self.random.uniform(4 + self.object_heading[0].size, rows)
        low, high = self.family.start_range()
        self.pose[rows, :2] = low + (high - low) * uniform[:, :2]
        self.pose[rows, 2] = np.pi * (2 * uniform[:, 2] - 1)
        self.instruction[rows] = np.floor(len(SHAPES) * uniform[:, 3])
        headings = np.pi * (2 * uniform[:, 4:] - 1)
        self.object_heading[rows] = headings.reshape(-1, *OBJECTS.shape[:2])
        self.boxes.table[:, rows] = self.furniture(rows).table
        self.moved[rows] = True

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Turn or walk, look what is touched."""
        rows = np.arange(self.num_envs) if rows is None else rows
        actions, family = actions[rows], self.family
        x, z, heading = self.pose[rows].T
        heading = heading + family.turn_angle * ((actions == LEFT) * 1.0 - (actions == RIGHT))
        step = family.forward_step * (actions == FORWARD)
        new_x, new_z = x + step * np.cos(heading), z - step * np.sin(heading)
        free = clearance(WALLS, new_x, new_z) >= family.agent_radius
        x, z = np.where(free, new_x, x), np.where(free, new_z, z)
        self.pose[rows] = np.stack([x, z, heading], axis=1)
        self.moved[rows] = True
        return self._outcome(rows, ended=actions == END)

    def _outcome(self, rows: np.ndarray, *, ended: np.ndarray) -> Outcome:
        offset = OBJECTS - self.pose[rows, None, None, :2]
        touched = (
            np.hypot(offset[..., 0], offset[..., 1]) < self.family.touch
        )  # [rows, shape, colour]
        right = touched[np.arange(len(rows)), self.instruction[rows], self._colour(rows)]
        any_touched = touched.any(axis=(1, 2))
        outcome = Outcome(
            reward=np.zeros(self.num_envs),
            terminated=np.zeros(self.num_envs, bool),
            unstable=np.zeros(self.num_envs, bool),
            info={"success": np.zeros(self.num_envs)},
        )
        outcome.reward[rows] = 2.0 * right - any_touched
        outcome.terminated[rows] = any_touched | ended
        outcome.info["success"][rows] = right
        return outcome

    def observe(self) -> Arrays:
        """Return images, rendered where something has changed, and instructions."""
        moved = np.flatnonzero(self.moved)
        self._images[moved] = self._ray_caster.render(self.pose[moved], self.boxes.rows(moved))
        self.moved[:] = False
        return {"image": self._images.copy(), "instruction": self.instruction.copy()}

    def play_a_little(self) -> None:
        """Stand where the sign can be read, from nearer row by row."""
        self.pose[:, 0] = np.linspace(4.0, 7.0, self.num_envs)
        self.pose[:, 1], self.pose[:, 2] = _SIGN_Z, 0.0
        self.moved[:] = True

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row: a map with the agent on it, and what the agent sees."""
        rows = np.array([row])
        colour = int(self._colour(rows)[0])
        camera = self._ray_caster.camera
        return draw_sign_nav(
            walls=WALLS,
            pose=self.pose[row],
            objects=OBJECTS,
            headings=self.object_heading[row],
            sign=(WORDS[colour], _SIGN_Z),
            colour=colour,
            instruction=int(self.instruction[row]),
            half_view=float(np.arctan(camera.width / 2 * camera.pixel)),
            image=self._ray_caster.render(self.pose[rows], self.boxes.rows(rows))[0],
        )

    def _colour(self, rows: np.ndarray) -> np.ndarray:
        return self.tasks[rows, 0].astype(np.int64)

    def furniture(self, rows: np.ndarray) -> Boxes:
        """Return all objects and the sign, `[rows, K]`."""
        heading, colour = self.object_heading[rows], self._colour(rows)[:, None]
        textures = np.arange(3)
        width = np.array([len(word) for word in WORDS])[colour]
        sign = Boxes(
            x=9.975,
            z=_SIGN_Z,
            heading=np.pi,
            depth=0.05,
            width=width,
            bottom=0.85,
            top=1.85,
            front=3 + colour,
            sides=6,
            cap=6,
        )
        (box_x, box_z), (key_x, key_z) = OBJECTS[0].T, OBJECTS[1].T
        boxes = cube(box_x, box_z, heading[:, 0], _BOX_SIDE, textures)
        return join(boxes, key(key_x, key_z, heading[:, 1], textures), sign)


def _world() -> World:
    white, black = (255, 255, 255), (0, 0, 0)
    objects = [plain(colour) for colour in COLOURS]
    signs = [lettering(word, 1.0, ink=black, paper=white) for word in WORDS]
    return World(
        walls=WALLS,
        wall_texture=np.full(len(WALLS), 7),
        wall_height=_WALL_HEIGHT,
        floor_texture=8,
        ceiling_texture=9,
        textures=[
            *objects,
            *signs,
            plain(black),
            speckled((170, 168, 162), 0.05),
            tiled((205, 200, 190), (120, 118, 112), 0.6),
            tiled((225, 225, 225), (160, 160, 160), 1.0),
        ],
    )
