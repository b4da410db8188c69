"""A kitchen whose drawers' contents are the hidden task: Liu et al. 2021 (DREAM, arXiv:2008.02790).

The layout, the rewards, the order of the kitchens and the split are those of the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from metarl_cli.envs.base.batch import NumpyBatch, NumpyFamily, Outcome
from metarl_cli.envs.base.drawing import BLACK, BLUE, GREY, ORANGE, WHITE
from metarl_cli.envs.base.random_rows import one_of
from metarl_cli.envs.grids.dream_grid import (
    DROP,
    END,
    NUM_ACTIONS,
    PICK,
    STAY,
    cells,
    places,
    walk_table,
)
from metarl_cli.envs.grids.gridworld import fill_cell, grid_canvas

SIZE = 3
POT = np.array([1, 1])  # also where each episode begins
DRAWERS = np.array([[2, 0], [2, 1], [2, 2]])
NUM_INGREDIENTS = 4
NOTHING = NUM_INGREDIENTS  # in the hand, or in a slot of the pot
POT_SLOTS = 3
POT_CODE, DRAWER_CODE = 2, 3  # what is at the cell; 0 is nothing, and 1, a bus, is not met here
NUM_STAGES = 4  # take the first ingredient, put it into the pot, take the second, put it in


class Cooking(NumpyFamily):
    """Put two ingredients into the pot in the order of a recipe, not knowing what the drawers hold.

    A task says which of 4 ingredients is in each of the 3 drawers. The recipe names the contents of
    two drawers (perhaps the same one twice), drawn anew in each episode and observed. Drawers never
    run out; what is put down outside the pot is lost, and nothing gets out of the pot again.

    Observations are a Dict of "grid": x, y, what is here (2 the pot, 3 a drawer), the ingredient in
    the hand, and those in the pot's three slots (4: none); and "instruction": the two ingredients.
    Actions: left, up, right, down, stay, (nothing), end the episode, pick, drop.

    Args:
        progress_reward: reward of a step that does the next of the four things the recipe asks for:
            take the first ingredient, put it into the pot, take the second, put it in. The last one
            ends the episode.
        step_reward: reward of any other step, below zero; ending the episode costs as much as
            all the steps that were left.
        mistake_reward: added when the wrong thing was picked or the right one lost.
        test_ids: the numbers of the held-out kitchens: the ingredient of the lowest drawer, plus 4
            times that of the middle one, plus 16 times that of the highest.
        horizon: steps per episode.
    """

    info_keys = ("success", "unstable")  # success: the recipe is done
    start_shows_task = True  # the recipe asks for what there is

    def __init__(
        self,
        *,
        progress_reward: float,
        step_reward: float,
        mistake_reward: float,
        test_ids: Sequence[int],
        horizon: int,
    ) -> None:
        numbers = np.arange(NUM_INGREDIENTS ** len(DRAWERS))
        if not set(test_ids) < set(numbers):
            raise ValueError(f"test_ids: got {list(test_ids)}, expected some of 0 to {numbers[-1]}")
        weights = NUM_INGREDIENTS ** np.arange(len(DRAWERS))
        self.all_tasks = (numbers[:, None] // weights % NUM_INGREDIENTS).astype(np.float64)
        self.test_tasks = self.all_tasks[list(test_ids)] if len(test_ids) else None
        self._training_tasks = self.all_tasks[~np.isin(numbers, test_ids)]
        item = NUM_INGREDIENTS + 1
        super().__init__(
            observation_space=Dict(
                {
                    "grid": MultiDiscrete([SIZE, SIZE, DRAWER_CODE + 1, item, *[item] * POT_SLOTS]),
                    "instruction": MultiDiscrete([NUM_INGREDIENTS] * 2),
                }
            ),
            action_space=Discrete(NUM_ACTIONS),
            task_space=Box(0.0, NUM_INGREDIENTS - 1.0, (len(DRAWERS),), np.float64),
            task_names=("lowest_drawer", "middle_drawer", "highest_drawer"),
            horizon=horizon,
        )
        self.progress_reward, self.step_reward = progress_reward, step_reward
        self.mistake_reward = mistake_reward

    def batch(self, num_envs: int, *, threads: int = 1) -> CookingBatch:
        """Return cooks in kitchens."""
        return CookingBatch(self, num_envs)

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return exact mean returns over all kitchens and recipes.

        "oracle" fetches each ingredient from the nearest drawer that has it. Left out where the
        horizon is too short for the farthest ones.
        """
        assert self.all_tasks is not None
        anchors: dict[str, tuple[float, ...]] = {"stand_still": (self.horizon * self.step_reward,)}
        distance = np.abs(DRAWERS - POT).sum(-1)
        if self.horizon >= NUM_STAGES + 4 * distance.max():
            same = self.all_tasks[:, :, None] == self.all_tasks[:, None]  # [N, drawer, other]
            nearest = np.where(same, distance, distance.max()).min(-1)  # [N, drawer]
            walking = 4 * self.step_reward * nearest.mean()  # two ingredients, there and back
            anchors["oracle"] = (float(NUM_STAGES * self.progress_reward + walking),)
        return anchors

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map the first column of `[num, 3]` to training kitchens `[num, 3]`."""
        return one_of(self._training_tasks, uniform[:, 0])


class CookingBatch(NumpyBatch[Cooking]):
    """Cooks, each in a kitchen of its own."""

    def __init__(self, family: Cooking, num_envs: int) -> None:
        super().__init__(family, num_envs)
        self._walk = walk_table(SIZE)
        self._here = np.zeros(SIZE**2, np.int64)
        self._here[cells(POT, SIZE)], self._here[cells(DRAWERS, SIZE)] = POT_CODE, DRAWER_CODE
        self._drawer = np.zeros(SIZE**2, np.int64)  # which drawer is in a cell that has one
        self._drawer[cells(DRAWERS, SIZE)] = np.arange(len(DRAWERS))
        self._cell = np.zeros(num_envs, np.int64)
        self._hand = np.zeros(num_envs, np.int64)
        self._pot = np.zeros((num_envs, POT_SLOTS), np.int64)
        self._recipe = np.zeros((num_envs, 2), np.int64)
        self._stage = np.zeros(num_envs, np.int64)  # how much of the recipe is done, 0 to 4

    def initialize(self, rows: np.ndarray) -> None:
        """Draw recipes from the drawers, put cooks at the empty pot."""
        drawers = (self.random.uniform(2, rows) * len(DRAWERS)).astype(np.int64)
        self._recipe[rows] = np.take_along_axis(self.tasks[rows], drawers, axis=1)
        self._cell[rows] = cells(POT, SIZE)
        self._hand[rows], self._pot[rows], self._stage[rows] = NOTHING, NOTHING, 0

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Use the hand, walk, and see how far the recipe is."""
        actions = np.where(self.active, actions, STAY)
        self._use_hand(actions)
        self._cell = self._walk[actions, self._cell]
        last = self._stage == NUM_STAGES - 1
        progress, mistake = self._follow_recipe(actions)
        done, given_up = progress & last, actions == END
        family = self.family
        cost = family.step_reward * (1 + given_up * (family.horizon - self.elapsed - 1))
        cost += family.mistake_reward * mistake
        return Outcome(
            reward=np.where(progress, family.progress_reward, cost),
            terminated=done | given_up,
            unstable=np.zeros(self.num_envs, bool),
            info={"success": done.astype(np.float64)},
        )

    def _use_hand(self, actions: np.ndarray) -> None:
        every, here = np.arange(self.num_envs), self._here[self._cell]
        content = self.tasks[every, self._drawer[self._cell]].astype(np.int64)
        picking = actions == PICK
        self._hand = np.where(picking & (here == DRAWER_CODE), content, self._hand)
        self._hand[picking & (here == POT_CODE)] = NOTHING  # a quirk of the authors' code
        dropping = actions == DROP
        slot = (self._pot != NOTHING).sum(1)
        fits = dropping & (here == POT_CODE) & (slot < POT_SLOTS)
        self._pot[every[fits], slot[fits]] = self._hand[fits]
        self._hand[dropping] = NOTHING

    def _follow_recipe(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return whether the step was the next of the recipe, and whether a mistake, `[B]` each."""
        every, part = np.arange(self.num_envs), np.minimum(self._stage // 2, 1)
        wanted = self._recipe[every, part]
        fetching = self._stage % 2 == 0
        held = self._hand == wanted
        put = ~fetching & (self._pot[every, part] == wanted)
        lost = ~fetching & ~put & ~held
        progress = (fetching & held) | put
        self._stage += progress.astype(np.int64) - lost
        return progress, lost | (fetching & ~held & (actions == PICK))

    def observe(self) -> dict[str, np.ndarray]:
        """Return what is at the cells and in hands and pots, and the recipes."""
        x, y = np.divmod(self._cell, SIZE)
        grid = [x, y, self._here[self._cell], self._hand, *self._pot.T]
        return {"grid": np.stack(grid, -1), "instruction": self._recipe.copy()}

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row: agent (blue), pot (black), drawers (orange), the recipe."""
        canvas = grid_canvas(SIZE)
        fill_cell(canvas, POT, BLACK)
        for (x, y), content in zip(DRAWERS, self.tasks[row], strict=True):
            fill_cell(canvas, np.array([x, y]), ORANGE)
            canvas.text(x + 0.3, y + 0.3, f"{content:.0f}", WHITE)
        in_pot = [str(item) for item in self._pot[row] if item != NOTHING]
        canvas.text(POT[0], POT[1] - 0.38, " ".join(in_pot), WHITE)
        canvas.text(0, 2.2, "recipe", GREY)
        canvas.text(0, 2, " ".join(map(str, self._recipe[row])))
        x, y = places(self._cell[row], SIZE)
        canvas.disc(x, y, 0.25, BLUE)
        if self._hand[row] != NOTHING:
            canvas.text(x, y, str(self._hand[row]), WHITE)
        return canvas.image()
