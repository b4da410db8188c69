"""sign_nav: MiniWorld's rules by hand, and policies that walk there: oracle, blind, reader."""

import numpy as np
import pytest
import torch
from helpers import batch_of
from torch import nn

from metarl_cli.envs.raycast.scene import clearance
from metarl_cli.envs.sign.sign import END, FORWARD, LEFT, OBJECTS, RIGHT, WALLS

BLUE, RED, GREEN = 0.0, 1.0, 2.0
BOX, KEY = 0, 1
TOUCH = np.array([1.73569, 1.906])  # box .56569 or key .736 + agent .4 + 1.1 * .7
TINY = {"image_width": 8, "image_height": 6}  # where nobody looks
EAST, NORTH = 0.0, np.pi / 2


def make(num_envs, **settings):
    return batch_of(name="sign_nav", num_envs=num_envs, **settings)


def started(poses, colours, instructions, **settings):
    """Environments put at poses `[B, 3]`, each with its colour and instruction."""
    env = make(len(poses), **settings)
    env.reset(seed=0, task=np.array(colours, float)[:, None])
    env.pose[:], env.instruction[:] = poses, instructions
    return env


def furnish(env):
    """Let pictures follow tasks and headings that a test has changed."""
    env.boxes.table[:] = env.furniture(np.arange(env.num_envs)).table
    env.moved[:] = True


def test_right_object_is_plus_one_every_other_minus_one():
    before = [1.0 + TOUCH[KEY] + 0.69, 9.0, np.pi]  # comes to the green key from the east
    env = started([before] * 3, [GREEN, GREEN, RED], [KEY, BOX, KEY], **TINY)
    _, reward, terminated, truncated, info = env.step(np.full(3, FORWARD))
    assert reward.tolist() == [1, -1, -1] and terminated.all() and not truncated.any()
    assert info["success"].tolist() == [1, 0, 0]


@pytest.mark.parametrize(("shape", "colour"), [(s, c) for s in (BOX, KEY) for c in range(3)])
def test_objects_are_touched_at_the_radii_of_miniworld(shape, colour):
    x, z = OBJECTS[shape, colour]
    poses = [[x + (TOUCH[shape] + gap) * np.sign(5.01 - x), z, EAST] for gap in (-0.001, 0.001)]
    env = started(poses, [colour] * 2, [shape] * 2, **TINY)
    _, reward, terminated, *_ = env.step(np.array([LEFT, LEFT]))
    assert reward.tolist() == [1, 0] and terminated.tolist() == [True, False]


def test_ending_and_waiting_are_worth_nothing():
    env = started([[4.5, 5, EAST]] * 2, [RED, RED], [BOX, BOX], horizon=3, **TINY)
    _, reward, terminated, *_ = env.step(np.array([END, LEFT]))
    assert reward.tolist() == [0, 0] and terminated.tolist() == [True, False]
    env.step(np.array([LEFT, LEFT]))
    _, reward, terminated, truncated, _ = env.step(np.array([LEFT, LEFT]))
    assert reward.tolist() == [0, 0] and truncated.tolist() == [False, True]


def test_turns_are_45_degrees_and_steps_70_centimetres():
    env = started([[4.5, 5, EAST]] * 3, [RED] * 3, [BOX] * 3, **TINY)
    env.step(np.array([LEFT, RIGHT, FORWARD]))
    env.step(np.full(3, FORWARD))
    half = 0.7 * np.sqrt(0.5)
    expected = [[4.5 + half, 5 - half], [4.5 + half, 5 + half], [5.9, 5]]  # z points south
    np.testing.assert_allclose(env.pose[:, :2], expected)


def test_walls_stop_the_agent_and_openings_let_it_through():
    south = -np.pi / 2
    poses = [[7, 6, south], [3, 6, south], [5.5, 10, EAST], [9, 8, NORTH], [5.65, 6.2, south]]
    env = started(poses, [RED] * 5, [BOX] * 5, **TINY)
    env.step(np.full(5, FORWARD))
    moved = np.hypot(*(env.pose[:, :2] - np.array(poses)[:, :2]).T)
    # 7: the wall between; 3: the opening; 5.5: no wall between the lower rooms; 8 - .7 is .55 off
    # the wall; 5.65 would be .35 off the wall's end at (6, 6.75)
    np.testing.assert_allclose(moved, [0, 0.7, 0.7, 0.7, 0], atol=1e-12)


def test_starts_are_those_of_miniworld():
    env = make(2000, **TINY)
    obs, _ = env.reset(seed=0)
    low, high = env.pose.min(axis=0), env.pose.max(axis=0)
    np.testing.assert_allclose(low, [3.6, 3.6, -np.pi], atol=0.02)
    np.testing.assert_allclose(high, [5.4, 6.4, np.pi], atol=0.02)
    assert 0.45 < obs["instruction"].mean() < 0.55
    assert abs(env.tasks.mean() - 1) < 0.06
    _, *_ = env.reset()
    assert not np.array_equal(obs["instruction"], env.instruction)


def test_only_the_sign_shows_the_colour():
    poses = [[4.5, 4, NORTH]] * 3 + [[4, 10, EAST]] * 3
    env = started(poses, [BLUE, RED, GREEN] * 2, [BOX] * 6)
    env.object_heading[:] = 0.3
    furnish(env)
    image = env.step(np.full(6, FORWARD))[0]["image"].astype(int)
    np.testing.assert_array_equal(image[0], image[1])
    np.testing.assert_array_equal(image[0], image[2])
    columns = [(image[3 + i] != image[3]).any(axis=(0, 2)).sum() for i in (1, 2)]
    assert min(columns) > 10


def test_anchors_need_enough_steps():
    assert make(1).family.anchors() == {
        "end_at_once": (0.0,),
        "blind_guess": (pytest.approx(-1 / 3),),
        "oracle": (1.0,),
    }
    assert make(1, horizon=5).family.anchors() == {"end_at_once": (0.0,)}


def routes(poses, goals, radius, avoid, length=24):
    """Walks `[B, length]`, padded with END, that come within `radius` of `goals` `[B, 2]`.

    In two straight legs if possible; else the shortest of all. `avoid` `[B, M, 3]` are x, z and
    radius of what must not be touched.
    """
    rows = zip(poses, goals, radius, avoid, strict=True)
    plans = [_two_legs(*row) or _shortest(*row) for row in rows]
    return np.array([[*plan, *[END] * (length - len(plan))] for plan in plans])


def _headings(pose):
    heading = pose[2] + np.pi / 4 * np.arange(8)
    return 0.7 * np.stack([np.cos(heading), -np.sin(heading)], axis=1)  # steps ahead, [8, 2]


def _allowed(points, avoid):
    gap = np.hypot(*np.moveaxis(points[:, None] - avoid[:, :2], -1, 0)) - avoid[:, 2]
    return (clearance(WALLS, *points.T) >= 0.4) & (gap >= 0).all(axis=1)


def _turns(start, end):
    """The turns from one of the eight headings to another."""
    left = (end - start) % 8
    return [LEFT] * left if left <= 4 else [RIGHT] * (8 - left)


def _two_legs(pose, goal, radius, avoid):
    ahead, plans = _headings(pose), []
    bearing = np.arctan2(pose[1] - goal[1], goal[0] - pose[0]) - pose[2]
    lower = int(np.floor(bearing / (np.pi / 4))) % 8
    legs = np.stack(np.mgrid[:13, :13], axis=-1).reshape(-1, 2)
    legs = legs[np.argsort(legs.sum(axis=1), kind="stable")]
    for order in ((lower, (lower + 1) % 8), ((lower + 1) % 8, lower)):
        steps = ahead[list(order)]
        close = np.hypot(*(pose[:2] + legs @ steps - goal).T) < radius
        for moves in legs[close][:8]:
            points = pose[:2] + np.cumsum(np.repeat(steps, moves, axis=0), axis=0)
            if _allowed(points, avoid).all():
                plan, facing = [], 0
                for heading, count in zip(order, moves, strict=True):
                    if count:
                        plan += [*_turns(facing, heading), *[FORWARD] * count]
                        facing = heading
                plans.append(plan)
                break
    return min(plans, key=len, default=None)


def _shortest(pose, goal, radius, avoid, longest=20):
    """Breadth-first search over all that turns and steps can reach."""
    ahead = _headings(pose)
    place, facing, plans = pose[None, :2], np.zeros(1, int), [[]]
    seen = set()
    for _ in range(longest):
        moved = place + ahead[facing]
        free = np.flatnonzero(_allowed(moved, avoid))
        arrived = free[np.hypot(*(moved[free] - goal).T) < radius]
        if len(arrived):
            return [*plans[arrived[0]], FORWARD]
        number = np.arange(len(place))
        origin = np.concatenate([number, number, free])
        action = np.repeat([LEFT, RIGHT, FORWARD], [len(place), len(place), len(free)])
        place = np.concatenate([place, place, moved[free]])
        facing = np.concatenate([facing + 1, facing - 1, facing[free]]) % 8
        keys = [*map(tuple, np.column_stack([np.rint(place * 1e4), facing]).astype(int).tolist())]
        fresh = [i for i, key in enumerate(keys) if not (key in seen or seen.add(key))]
        plans = [[*plans[origin[i]], int(action[i])] for i in fresh]
        place, facing = place[fresh], facing[fresh]
    raise AssertionError(f"no way from {pose} to {goal}")


def objects_to_avoid(num):
    """x, z and radius of all objects, `[num, 6, 3]`."""
    radius = np.broadcast_to(TOUCH[:, None, None], (2, 3, 1))
    return np.tile(np.concatenate([OBJECTS, radius], axis=2).reshape(6, 3), (num, 1, 1))


def walk_to_objects(env, colours):
    """Go to the objects of the instruction in `colours` `[B]`; returns `[B]`."""
    goals, others = OBJECTS[env.instruction, colours], objects_to_avoid(env.num_envs)
    others[np.arange(env.num_envs), 3 * env.instruction + colours, 2] = 0.0
    plans = routes(env.pose, goals, TOUCH[env.instruction] - 1e-6, others)
    return sum(env.step(action)[1] for action in plans.T[: env.family.horizon])


def test_oracle_always_gets_one():
    env = make(900, **TINY)
    env.reset(seed=5, task=np.repeat([BLUE, RED, GREEN], 300)[:, None])
    colours = env.tasks[:, 0].astype(int)
    combinations = set(zip(colours.tolist(), env.instruction.tolist(), strict=True))
    assert len(combinations) == 6
    assert (walk_to_objects(env, colours) == env.family.anchors()["oracle"]).all()


def test_no_way_is_longer_than_the_anchors_allow_for():
    longest = 0
    for shape, colour in np.ndindex(2, 3):
        others = objects_to_avoid(1)[0]
        others[3 * shape + colour, 2] = 0.0
        for x, z, heading in np.ndindex(2, 2, 4):
            pose = np.array([3.6 + 1.8 * x, 3.6 + 2.8 * z, np.pi / 16 * heading])
            way = _shortest(pose, OBJECTS[shape, colour], TOUCH[shape] - 1e-6, others)
            longest = max(longest, len(way))
    assert 12 <= longest <= make(1).family.longest_way() <= 20


def test_blind_guess_loses_a_third():
    env = make(3000, **TINY)
    env.reset(seed=2)
    guesses = np.random.default_rng(0).integers(0, 3, 3000)
    returns = walk_to_objects(env, guesses)
    assert set(returns) == {-1.0, 1.0}
    assert abs(returns.mean() - env.family.anchors()["blind_guess"][0]) < 0.05


def read(env):
    """The colour whose sign alone gives the image that is seen, per row; -1 if several do."""
    seen, tasks = env.observe()["image"].copy(), env.tasks.copy()
    same = np.zeros((env.num_envs, 3), bool)
    for colour in range(3):
        env.tasks[:] = colour
        furnish(env)
        same[:, colour] = (env.observe()["image"] == seen).all(axis=(1, 2, 3))
    env.tasks[:] = tasks
    furnish(env)
    return np.where(same.sum(axis=1) == 1, same.argmax(axis=1), -1)


def test_a_reader_explores_in_one_episode_and_succeeds_in_the_next():
    num = 30
    env = make(num)
    env.reset(seed=3, task=np.repeat([BLUE, RED, GREEN], 10)[:, None])
    goals, radius = np.tile([5.0, 8.9], (num, 1)), np.full(num, 0.8)
    plans = routes(env.pose, goals, radius, objects_to_avoid(num))
    colours = np.full(num, -1)
    for action in plans.T[: env.family.horizon]:
        off = (env.pose[:, 2] + np.pi) % (2 * np.pi) - np.pi  # from east
        looks = (action == END) & (np.abs(off) <= np.pi / 8 + 1e-9)
        if looks.any():
            colours = np.where(looks & (colours < 0), read(env), colours)
        turn = np.where(off > 0, RIGHT, LEFT)
        action = np.where(looks, END, np.where(action == END, turn, action))
        assert (env.step(action)[1] == 0).all()
    np.testing.assert_array_equal(colours, env.tasks[:, 0])
    env.reset()
    assert (walk_to_objects(env, colours) == 1).all()


def test_picture_shows_map_and_view():
    env = make(2)
    env.reset(seed=0)
    picture = env.draw(0)
    np.testing.assert_array_equal(picture[2::4, -318::4], env.last_obs["image"][0])
    assert not np.array_equal(picture, env.draw(1))


def reading_poses(num, random):
    """Poses from which the whole sign is in view, 3.5 to 8 m away."""
    place = random.uniform([1.5, 7.3], [6.6, 12.5], (20 * num, 2))
    away = np.hypot(place[:, 0] - 10, place[:, 1] - 10.25)
    heading = random.uniform(-0.6, 0.6, 20 * num)
    ends = [np.arctan2(place[:, 1] - z, 9.95 - place[:, 0]) for z in (7.75, 12.75)]
    in_view = [np.abs(end - heading) < 0.62 for end in ends]  # half of the picture is .655 rad
    clear = np.hypot(place[:, 0] - 1, place[:, 1] - 9) > TOUCH[KEY]
    poses = np.column_stack([place, heading])
    return poses[in_view[0] & in_view[1] & clear & (away > 3.5) & (away < 8)][:num]


def sign_images(num, seed):
    random = np.random.default_rng(seed)
    poses, colours = reading_poses(num, random), random.integers(0, 3, num)
    env = started(poses, colours, np.zeros(num, int))
    env.moved[:] = True
    image = torch.from_numpy(env.observe()["image"]).permute(0, 3, 1, 2).float() / 255 - 0.5
    return image, torch.from_numpy(colours)


@pytest.fixture
def one_thread():
    """Pictures this small are processed faster without a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_a_small_network_reads_the_sign_from_unseen_poses(one_thread):
    torch.manual_seed(0)
    (image, colour), (unseen, answer) = sign_images(3000, 0), sign_images(2000, 1)
    network = nn.Sequential(
        *(nn.Conv2d(3, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 6 * 8, 3)),
    )
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.6)
    for _ in range(7):
        for batch in torch.randperm(len(image)).split(32):
            loss = nn.functional.cross_entropy(network(image[batch]), colour[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    with torch.no_grad():
        accuracy = (network(unseen).argmax(dim=1) == answer).float().mean()
    print(f"accuracy on {len(answer)} unseen poses: {accuracy:.4f}")
    assert accuracy > 0.99
