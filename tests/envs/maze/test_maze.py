import numpy as np
import pytest
from helpers import batch_of

from metarl_cli.envs.maze.map import BLOCKED, FORWARD, NUM_HEADINGS, TURN_LEFT, TURN_RIGHT, MazeMap
from metarl_cli.envs.maze.maze import Maze, VectorView
from metarl_cli.envs.maze.planner import (
    BLUE,
    RED,
    STEPS,
    UNKNOWN,
    action_costs,
    best_return,
    cost_to_go,
)

DOOR = 5  # its x in maze2d
EAST, NORTH_EAST, NORTH, WEST = 0, 1, 2, 4
CORRIDOR = ["########", "#G--.-o#", "####o###", "########"]  # one start cell, two places


def maze_of(letters, cue_range=1.5):
    return MazeMap(letters, cue_range=cue_range)


def pose_of(maze, x, y, heading):
    return int(np.flatnonzero((maze.centers == (x, y)).all(axis=1))[0]) * NUM_HEADINGS + heading


def small(num_envs=1, horizon=20, letters=CORRIDOR):
    family = Maze(maze=letters, cue_range=1.5, view=VectorView(), horizon=horizon)
    return family.batch(num_envs)


class Planner:
    """Plays the shortest plan from what it observed; without memory it never knows a past cue."""

    def __init__(self, env, *, memory=True, told=None):
        self.maze, self.memory, self.told = env.family.map, memory, told
        self.actions = action_costs(self.maze, STEPS, cost_to_go(self.maze, STEPS)).argmin(axis=0)
        longest = max(self.maze.size)
        self.places = self.maze.centers - (np.array(self.maze.size) - 1) / 2
        self.places = self.places * 2 / longest
        self.known = np.full(env.num_envs, UNKNOWN if told is None else told)

    def act(self, obs):
        heading = np.round(np.arctan2(obs[:, 3], obs[:, 2]) / (np.pi / 4)).astype(int) % 8
        pose = self.cell(obs[:, :2]) * NUM_HEADINGS + heading
        boxes = np.stack([self.cell(obs[:, 4:6]), self.cell(obs[:, 6:8])], axis=1)
        layout = (self.maze.layouts == boxes[:, None]).all(axis=2).argmax(axis=1)
        if self.told is None:
            cue = np.array([UNKNOWN, RED, BLUE])[obs[:, 8].astype(int)]  # -1 is the last entry
            self.known = np.where((cue == UNKNOWN) & self.memory, self.known, cue)
        return self.actions[self.known, layout, pose]

    def cell(self, place):
        return np.abs(self.places - place[:, None]).sum(axis=2).argmin(axis=1)


def play(env, policy, seed=0):
    """Return, success and length of one episode per row."""
    obs, _ = env.reset(seed=seed)
    total, success, length = np.zeros((3, env.num_envs))
    running = np.ones(env.num_envs, bool)
    while running.any():
        length += running
        obs, reward, terminated, truncated, info = env.step(policy.act(obs))
        total += reward
        success += info["success"]
        running &= ~(terminated | truncated)
    return total, success, length


def test_steps_lead_to_the_next_cell_and_cut_no_corners():
    maze = maze_of(["#####", "#.oG#", "#.o##", "#####"])
    corner = pose_of(maze, 1, 1, EAST)
    assert maze.next_pose[TURN_LEFT, corner] == pose_of(maze, 1, 1, NORTH_EAST)
    assert maze.next_pose[TURN_RIGHT, corner] == pose_of(maze, 1, 1, 7)
    assert maze.next_pose[FORWARD, corner] == pose_of(maze, 2, 1, EAST)
    diagonal = pose_of(maze, 1, 1, NORTH_EAST)
    assert maze.next_pose[FORWARD, diagonal] == pose_of(maze, 2, 2, NORTH_EAST)
    for blocked in (
        pose_of(maze, 1, 1, WEST),  # wall
        pose_of(maze, 2, 2, EAST),  # grey box
        pose_of(maze, 2, 1, NORTH_EAST),  # grey box behind the corner of a wall
    ):
        assert maze.ahead[blocked] == BLOCKED
        assert maze.next_pose[FORWARD, blocked] == blocked


@pytest.mark.parametrize(
    ("letters", "cue_range", "message"),
    [
        (["###", "####"], 1, "rows of [3, 4] letters"),
        (["####", "#?.#", "####"], 1, "got letters ['?']"),
        (["####", "#.o.", "####"], 1, "the border has gaps"),
        (["#####", "#.oG#", "#####"], 1, "got [1, 1, 1] of G, o and ."),
        (["######", "#.Goo#", "######"], 1, "cue_range: got 1, which reaches a start cell"),
        (["######", "#.Goo#", "######"], 0, "cue_range: got 0, expected a number > 0"),
    ],
)
def test_impossible_mazes_are_named(letters, cue_range, message):
    with pytest.raises(ValueError) as error:
        maze_of(letters, cue_range)
    assert message in str(error.value)


def test_observation_is_place_heading_boxes_and_a_cue_near_the_grey_box_only():
    env = small()  # 8 x 4 letters: middle (3.5, 1.5), unit 4
    env.reset(task=[1.0])
    env.pose[0], env.boxes[0] = pose_of(env.family.map, 4, 2, WEST), env.family.map.layouts[0]
    obs, *_ = env.step(np.array([FORWARD]))
    np.testing.assert_allclose(
        obs, [[-0.125, 0.125, -1, 0, 0.625, 0.125, 0.125, -0.125, 0]], atol=1e-7
    )
    for bit, cue in ((1.0, 1.0), (0.0, -1.0)):
        env.reset(task=[bit])
        env.pose[0] = pose_of(env.family.map, 3, 2, WEST)
        obs, *_ = env.step(np.array([FORWARD]))
        assert obs[0, 8] == cue and obs[0, 0] == pytest.approx(-0.375)


def test_right_box_pays_one_wrong_box_costs_one_and_both_end_the_episode():
    env = small(num_envs=4)
    env.reset(seed=0, task=np.array([[0.0], [1.0], [0.0], [1.0]]))
    ahead, behind = (int(env.family.map.ahead[pose_of(env.family.map, x, y, d)]) for x, y, d in
                     ((5, 2, EAST), (4, 2, 6)))  # fmt: skip
    env.pose[:] = pose_of(env.family.map, 5, 2, EAST)
    env.boxes[:] = [[ahead, behind], [ahead, behind], [behind, ahead], [behind, ahead]]
    before = env.pose.copy()
    turned = env.step(np.full(4, TURN_LEFT))
    env.pose[:] = before
    assert not turned[2].any() and (turned[1] == 0).all()
    _, reward, terminated, truncated, info = env.step(np.full(4, FORWARD))
    assert reward.tolist() == [1.0, -1.0, -1.0, 1.0]
    assert info["success"].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert terminated.all() and not truncated.any()
    np.testing.assert_array_equal(env.pose, before)  # a box is solid


def test_agent_that_has_arrived_stays_there_in_pictures_as_well():
    env = small(num_envs=2)
    env.reset(seed=0, task=[0.0])
    env.pose[:] = pose_of(env.family.map, 5, 2, EAST), pose_of(env.family.map, 4, 2, WEST)
    env.boxes[:] = [
        env.family.map.ahead[env.pose[0]],
        env.family.map.ahead[pose_of(env.family.map, 4, 2, 6)],
    ]
    env.step(np.array([FORWARD, FORWARD]))
    arrived, walking = env.draw(0), env.draw(1)
    env.step(np.array([TURN_LEFT, TURN_LEFT]))
    np.testing.assert_array_equal(env.draw(0), arrived)
    assert (env.draw(1) != walking).any()


def test_shortest_plan_of_a_corridor_counted_by_hand():
    maze = maze_of(CORRIDOR)
    first = pose_of(maze, 4, 2, WEST)
    ends = {tuple(maze.centers[cell]) for cell in maze.layouts[0]}
    assert ends == {(6.0, 2.0), (4.0, 1.0)} and len(maze.layouts) == 2
    cost = cost_to_go(maze, STEPS)[:, :, first]
    # Known: east box 4 turns + 2 steps, south box 2 turns + 1 step.
    assert sorted(cost[:UNKNOWN].ravel()) == [3, 3, 6, 6]
    # Unknown: 2 steps west, 4 turns, 2 steps back: 8; then 2 steps east or 2 turns and 1 south.
    assert cost[UNKNOWN].tolist() == [10.5, 10.5]


def test_returns_count_only_what_the_horizon_leaves_time_for():
    maze = maze_of(CORRIDOR)
    assert best_return(maze, horizon=1, informed=True) == pytest.approx(1 / 16)  # facing south
    assert best_return(maze, horizon=1, informed=False) == 0.0
    assert best_return(maze, horizon=50, informed=False) == 1.0


@pytest.fixture(scope="module")
def episodes():
    env = batch_of(name="maze2d", num_envs=4000)
    return env, play(env, Planner(env))


def test_optimal_policy_averages_nineteen_steps(episodes):
    env, (total, success, length) = episodes
    assert env.family.optimal_steps() == pytest.approx(19.0, abs=0.5)
    assert (total == env.family.anchors()["bayes_optimal"]).all() and (success == 1).all()
    standard_error = length.std() / np.sqrt(len(length))
    assert length.mean() == pytest.approx(env.family.optimal_steps(), abs=4 * standard_error)
    assert length.max() < env.family.horizon / 3


def test_planned_lengths_are_exact_for_every_start(episodes):
    env, _ = episodes
    env.reset(seed=0)
    maze = env.family.map
    layout = (maze.layouts == env.boxes[:, None]).all(axis=2).argmax(axis=1)
    expected = cost_to_go(maze, STEPS)[UNKNOWN, layout, env.pose]
    lengths = []
    for bit in (0.0, 1.0):
        env.reset(seed=0, task=[bit])
        lengths.append(play(env, Planner(env))[2])
    np.testing.assert_allclose(np.mean(lengths, axis=0), expected)


def test_oracle_is_always_right_and_a_guess_half_the_time():
    for bit in (BLUE, RED):
        env = batch_of(name="maze2d", num_envs=1000)
        env.reset(task=[float(bit)])
        assert (play(env, Planner(env, told=bit))[0] == env.family.anchors()["oracle"]).all()
    env = batch_of(name="maze2d", num_envs=4000)
    total, success, _ = play(env, Planner(env, told=BLUE))
    assert total.mean() == pytest.approx(env.family.anchors()["blind_guess"][0], abs=0.05)
    assert success.mean() == pytest.approx(0.5, abs=0.025)


def test_nothing_but_memory_carries_the_cue():
    """All ways out of the room of the grey box are one, so what comes next cannot depend on it."""
    maze = batch_of(name="maze2d", num_envs=1).family.map
    west = np.repeat(maze.centers[:, 0] < DOOR, NUM_HEADINGS)
    out = {int(pose) for poses in maze.next_pose for pose in poses[west] if not west[pose]}
    assert out == {pose_of(maze, DOOR, 3, EAST)}
    door = {int(poses[pose]) for poses in maze.next_pose for pose in out}
    turned = {pose_of(maze, DOOR, 3, 1), pose_of(maze, DOOR, 3, 7)}
    assert door - turned == {pose_of(maze, DOOR + 1, 3, EAST)}
    assert (maze.ahead[sorted(turned)] == BLOCKED).all()
    assert west[maze.in_range].all() and (maze.centers[maze.layouts, 0] > DOOR).all()


def test_planner_without_memory_goes_round_in_circles():
    env = batch_of(name="maze2d", num_envs=200)
    total, success, _ = play(env, Planner(env, memory=False))
    assert success.mean() == 0.0 and total.mean() == 0.0


def test_starts_and_box_places_are_spread_evenly():
    env = batch_of(name="maze2d", num_envs=20_000)
    env.reset(seed=0)
    maze = env.family.map
    poses, counts = np.unique(env.pose, return_counts=True)
    assert set(poses) == set(maze.start_poses)
    layout = (maze.layouts == env.boxes[:, None]).all(axis=2).argmax(axis=1)
    for observed in (counts, np.bincount(layout, minlength=len(maze.layouts))):
        expected = 20_000 / len(observed)
        assert np.abs(observed - expected).max() < 5 * np.sqrt(expected)
