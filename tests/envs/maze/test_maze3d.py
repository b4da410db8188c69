import numpy as np
import pytest
from helpers import batch_of

from metarl_cli.envs.maze.map import BLOCKED, NUM_HEADINGS, MazeMap
from metarl_cli.envs.maze.maze3d import CameraView, wall_segments
from metarl_cli.envs.maze.planner import STEPS, UNKNOWN, action_costs, cost_to_go

DOOR = 5  # its x
EAST, WEST = 0, 4
CAMERA = {
    "width": 80,
    "height": 60,
    "vertical_fov": 60.0,
    "eye_height": 1.5,
    "wall_height": 2.74,
    "cell_size": 2.0,
    "box_size": 1.2,
}


@pytest.fixture(scope="module")
def env():
    return batch_of(name="maze3d", num_envs=1)


@pytest.fixture(scope="module")
def looks(env):
    """What is seen in every pose with the boxes in layout 1, `[S, ...]`, by the bit."""
    num = env.family.map.num_poses
    every = batch_of(name="maze3d", num_envs=num)
    images = {}
    for bit in (0, 1):
        every.reset(seed=0, task=[float(bit)])
        every.pose[:], every.boxes[:] = np.arange(num), env.family.map.layouts[1]
        images[bit] = every.observe()
    return images


def pose_of(maze, x, y, heading):
    return int(np.flatnonzero((maze.centers == (x, y)).all(axis=1))[0]) * NUM_HEADINGS + heading


def is_blue(image):
    return (image[..., 2] > 100) & (image[..., 0] < 80)


def is_red(image):
    return (image[..., 0] > 100) & (image[..., 1] < 60)


def test_walls_are_joined_to_few_segments():
    maze = MazeMap(["######", "#Goo.#", "###.##", "######"], cue_range=1.5)
    ends, sides = wall_segments(maze)
    found = {
        ("NESW"[s], *start, *end) for s, (start, end) in zip(sides, ends.tolist(), strict=True)
    }
    assert found == {
        ("N", 0.5, 2.5, 4.5, 2.5),
        ("E", 4.5, 1.5, 4.5, 2.5),
        ("E", 3.5, 0.5, 3.5, 1.5),
        ("S", 0.5, 1.5, 2.5, 1.5),
        ("S", 2.5, 0.5, 3.5, 0.5),
        ("S", 3.5, 1.5, 4.5, 1.5),
        ("W", 0.5, 1.5, 0.5, 2.5),
        ("W", 2.5, 0.5, 2.5, 1.5),
    }


def test_grey_box_lights_up_in_the_colour_of_the_right_box(env, looks):
    asking, passing = (pose_of(env.family.map, x, 3, WEST) for x in (2, 3))
    blue, red = (looks[bit][asking, 35:, 25:55] for bit in (0, 1))
    assert is_blue(blue).mean() > 0.5 and not is_red(blue).any()
    assert is_red(red).mean() > 0.5 and not is_blue(red).any()
    for bit in (0, 1):  # it stands in view, but dark
        assert not (is_blue(looks[bit][passing]) | is_red(looks[bit][passing])).any()
        assert (looks[bit][passing, 35:, 36:44].max(axis=2) < 50).mean() > 0.2


def test_nothing_outside_the_range_shows_what_the_grey_box_said(env, looks):
    differs = (looks[0] != looks[1]).any(axis=(1, 2, 3))
    assert differs.any()
    assert env.family.map.in_range[differs].all()


def test_places_look_different_but_with_the_nose_at_a_wall(env, looks):
    open_views = looks[0][env.family.map.ahead != BLOCKED]
    assert len({image.tobytes() for image in open_views}) == len(open_views) > 240


def test_box_ahead_fills_the_middle_and_a_box_on_the_left_the_left(env, looks):
    maze = env.family.map
    blue, red = maze.centers[maze.layouts[1]]
    before_blue = looks[0][pose_of(maze, blue[0] - 1, blue[1], EAST)]
    before_red = looks[0][pose_of(maze, red[0] - 1, red[1], EAST)]
    assert is_blue(before_blue[40:, 30:50]).all() and is_red(before_red[40:, 30:50]).all()
    x, y = blue - (3, 1)  # three cells ahead, one to the left: column 40 - 52 / 3
    columns = np.flatnonzero(is_blue(looks[0][pose_of(maze, x, y, EAST)]).any(axis=0))
    assert 13 < columns.min() < columns.max() < 33
    assert columns.mean() == pytest.approx(40 - 52 / 3, abs=3)


def test_same_world_as_maze2d_so_the_same_optimal_policy_succeeds():
    flat, seen = (batch_of(name=name, num_envs=40) for name in ("maze2d", "maze3d"))
    maze = flat.family.map
    actions = action_costs(maze, STEPS, cost_to_go(maze, STEPS)).argmin(axis=0)
    layouts = flat.family.map.layouts
    flat.reset(seed=3), seen.reset(seed=3)
    known, success, length = np.full(40, UNKNOWN), np.zeros(40), np.zeros(40)
    layout = (layouts == flat.boxes[:, None]).all(axis=2).argmax(axis=1)
    while flat.active.any():
        np.testing.assert_array_equal(flat.pose, seen.pose)
        length += flat.active
        known = np.where(flat.family.map.in_range[flat.pose], flat.tasks[:, 0].astype(int), known)
        action = actions[known, layout, flat.pose]
        expected, (_, reward, *_, info) = flat.step(action)[1], seen.step(action)
        np.testing.assert_array_equal(reward, expected)
        success += info["success"]
    assert (success == 1).all()
    lengths = [env.family.optimal_steps() for env in (flat, seen)]
    assert lengths[0] == lengths[1] == pytest.approx(19.0, abs=0.5)
    assert length.mean() == pytest.approx(19.0, abs=2)


def test_boxes_come_into_view_before_the_optimal_plan_needs_them(env):
    maze = env.family.map
    num = len(maze.layouts)
    every = batch_of(name="maze3d", num_envs=num)
    every.reset(seed=0)
    every.pose[:], every.boxes[:] = pose_of(maze, DOOR, 3, EAST), maze.layouts
    images = every.observe()
    assert (is_blue(images).sum(axis=(1, 2)) > 20).all()
    assert (is_red(images).sum(axis=(1, 2)) > 20).all()
    costs = action_costs(maze, STEPS, cost_to_go(maze, STEPS))  # [3, K, L, S]
    best = np.isclose(costs, costs.min(axis=0))
    # To the grey box, from anywhere but a box's place, one plan is best in all layouts ...
    is_place = np.isin(np.arange(maze.num_poses) // NUM_HEADINGS, maze.layouts)
    assert best[:, UNKNOWN].all(axis=1).any(axis=0)[~is_place].all()
    # ... and another from there through the door, whichever box is right.
    west = np.repeat(maze.centers[:, 0] < DOOR, NUM_HEADINGS)
    assert best[:, :UNKNOWN].all(axis=(1, 2)).any(axis=0)[west].all()


def test_images_repeat_for_those_who_do_not_move_and_belong_to_the_caller(env):
    first, _ = env.reset(seed=0)
    kept = first.copy()
    first[:] = 0
    env.step(np.array([0]))
    again, *_ = env.step(np.array([1]))
    np.testing.assert_array_equal(again, kept)


def test_picture_holds_the_image_and_the_view_from_above(env):
    env.reset(seed=0)
    picture = env.draw()
    assert picture.shape[0] == 240 and picture.shape[1] > 320
    np.testing.assert_array_equal(picture[::4, :320:4], env.last_obs[0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"eye_height": 3.0}, "expected eye_height < wall_height"),
        ({"box_size": 2.5}, "box_size < cell_size"),
        ({"width": 0}, "width: got 0, expected a number > 0"),
    ],
)
def test_impossible_cameras_are_named(wrong, message):
    with pytest.raises(ValueError) as error:
        CameraView(**(CAMERA | wrong))
    assert message in str(error.value)
