"""Ray-cast pictures against perspective by hand, and against a slow caster that knows no tricks."""

import numpy as np
import pytest

from metarl_cli.envs.raycast.camera import LevelCamera
from metarl_cli.envs.raycast.raycaster import RayCaster
from metarl_cli.envs.raycast.scene import (
    FIELDS,
    Boxes,
    World,
    brightness,
    clearance,
    cube,
    join,
    key,
)
from metarl_cli.envs.raycast.textures import (
    DARKEST,
    NUM_SHADES,
    Texture,
    bricks,
    lettering,
    plain,
    speckled,
    tiled,
)

EYE, HEIGHT = 1.5, 2.74
BLACK_AND_WHITE = np.array([[[0] * 3, [255] * 3], [[255] * 3, [0] * 3]], np.uint8)
CAMERA = LevelCamera(width=80, height=60, vertical_fov=np.pi / 3, eye_height=EYE)
ROOM = [((0, 0), (10, 0)), ((10, 0), (10, 8)), ((10, 8), (0, 8)), ((0, 8), (0, 0))]
WALL, FLOOR, CEILING, RED, GREEN, BLUE, SIGN = range(7)
COLOURS = [(90, 90, 90), (120, 100, 80), (200, 210, 220), (255, 0, 0), (0, 255, 0), (0, 0, 255)]
EAST = 0.0
NOTHING = cube([-50.0], [-50.0], 0.0, 0.1, RED)


def world(walls=ROOM, **textures):
    palette = [plain(colour) for colour in COLOURS]
    for name, texture in textures.items():
        index = {"wall": WALL, "floor": FLOOR, "sign": SIGN}[name]
        palette[index : index + 1] = [texture]
    kinds = np.zeros(len(walls), int)
    return World(np.array(walls, float), kinds, HEIGHT, FLOOR, CEILING, palette)


def see(poses, boxes=NOTHING, **textures):
    return RayCaster(world(**textures), CAMERA).render(np.atleast_2d(np.array(poses, float)), boxes)


def shaded(colour, light):
    """The colour in the nearest of the steps of brightness."""
    steps = np.linspace(DARKEST, 1, NUM_SHADES)
    return np.rint(steps[np.abs(steps - light).argmin()] * np.array(colour)).astype(int)


def is_colour(image, colour):
    """Pixels of a pure hue, however bright."""
    return (image[..., np.argmax(colour)] > 0) & (image.astype(int).sum(-1) == image.max(-1))


def test_wall_ahead_covers_the_rows_that_perspective_says():
    # 4 m ahead a pixel is 4 * 2 tan(30 deg) / 60 = 0.07698 m high: the wall's top is 1.24 / 0.07698
    # = 16.1 pixels above the horizon (row 30), its foot 1.5 / 0.07698 = 19.5 below.
    column = see([6, 4, EAST])[0, :, 40]
    light = brightness(-1.0, 0.0)
    np.testing.assert_array_equal(column[:14], [COLOURS[CEILING]] * 14)
    np.testing.assert_array_equal(column[14:49], [shaded(COLOURS[WALL], light)] * 35)
    np.testing.assert_array_equal(column[49:], [COLOURS[FLOOR]] * 11)


def test_wall_ahead_is_equally_high_in_all_columns():
    image = see([6, 4, EAST])[0]
    wall = (image == shaded(COLOURS[WALL], brightness(-1.0, 0.0))).all(-1)
    # The wall ends 4 m to both sides: 4 / 0.07698 = 52 pixels, beyond the edges of the picture.
    np.testing.assert_array_equal(wall, np.repeat(wall[:, 40:41], 80, axis=1))


def test_north_is_on_the_left_when_looking_east():
    image = see([2, 4, EAST], cube([6.0, 6.0], [3.0, 5.0], EAST, 0.8, [RED, GREEN]))[0]
    red, green = (np.flatnonzero(is_colour(image, COLOURS[i]).any(axis=0)) for i in (RED, GREEN))
    assert red.max() < 40 <= green.min()
    np.testing.assert_array_equal(red, 79 - green[::-1])  # equally far to both sides


def test_turning_left_looks_north():
    image = see([5, 4, np.pi / 2], cube([5.0], [1.0], 0.0, 0.8, RED))[0]
    assert is_colour(image, COLOURS[RED])[:, 40].any()


def test_nearer_box_hides_the_farther_one_whatever_the_order():
    near, far = cube([3.0], [4.0], EAST, 1.4, RED), cube([6.0], [4.0], EAST, 0.8, GREEN)
    for boxes in (join(near, far), join(far, near)):
        image = see([1, 4, EAST], boxes)[0]
        assert is_colour(image, COLOURS[RED]).any() and not is_colour(image, COLOURS[GREEN]).any()
    assert is_colour(see([1, 4, EAST], far), COLOURS[GREEN]).any()


def test_wall_hides_a_box():
    behind = [*ROOM, ((5, 0), (5, 8))]
    caster = RayCaster(world(behind), CAMERA)
    image = caster.render(np.array([[2, 4, EAST]]), cube([7.0], [4.0], 0.0, 0.8, RED))[0]
    assert not is_colour(image, COLOURS[RED]).any()


def test_box_has_exact_size_and_colours():
    # The front of a 0.8 m cube 2 m ahead: 0.03849 m per pixel, so 10.39 pixels to both sides; its
    # top is 0.7 / 0.03849 = 18.2 below the horizon, its foot 39 (outside); the top face ends 2.8 m
    # ahead at 0.7 / 0.05388 = 13.0 pixels below.
    image = see([4.6, 4, EAST], cube([7.0], [4.0], np.pi, 0.8, RED))[0]
    red = is_colour(image, COLOURS[RED])
    assert np.flatnonzero(red[59]).tolist() == list(range(30, 50))
    assert np.flatnonzero(red[:, 40]).tolist() == list(range(43, 60))
    np.testing.assert_array_equal(image[43:48, 40], [COLOURS[RED]] * 5)  # the top, in full light
    side = shaded(COLOURS[RED], brightness(-1.0, 0.0))
    np.testing.assert_array_equal(image[48:, 40], [side] * 12)


def test_one_sees_through_the_bow_of_a_key():
    # Seen from the front the bow is at the left end of the key: its hole is 0.3 m high up to 0.46.
    image = see([4.5, 4, EAST], key([7.0], [4.0], np.pi, [RED]))[0]
    red = is_colour(image, COLOURS[RED])
    row, bow, shaft = 30 + round(1.2 / 2.44 / CAMERA.pixel), -0.4, 0.4  # 0.3 m high, 2.44 m ahead
    left, right = (40 + round(offset / 2.44 / CAMERA.pixel) for offset in (bow, shaft))
    assert red[row, right] and not red[row, left]
    assert red[row, left - 6 : left].any() and red[row, left : left + 6].any()
    assert red[row - 8 : row, left].any() and red[row : row + 8, left].any()


def test_letters_read_from_left_to_right():
    # "L" has its stroke on the left and at the bottom.
    sign = Boxes(
        x=7.0,
        z=4.0,
        heading=np.pi,
        depth=0.1,
        width=1.0,
        bottom=1.0,
        top=2.0,
        front=[SIGN],
        sides=RED,
        cap=RED,
    )
    image = see([5, 4, EAST], sign, sign=lettering("L", 1.0, paper=(255, 255, 255)))[0]
    ink = (image < 100).all(-1)[18:43, 28:52]
    rows, columns = np.nonzero(ink)
    stem = ink[: ink.shape[0] // 2]
    assert np.nonzero(stem)[1].mean() < columns.mean() < 12 < rows.mean() + 2
    assert ink[rows.max()].sum() > 2 * ink[rows.min()].sum()


def test_floor_texture_lies_where_it_should():
    image = see([2.25, 4.25, EAST], floor=Texture(BLACK_AND_WHITE, 1.0))[0]
    # Row 50 looks 1.5 / (20.5 * 0.019245) = 3.80 m ahead: x = 6.05; z = 4.25 is below the middle.
    depth = EYE / (20.5 * CAMERA.pixel)
    z = 4.25 + depth * CAMERA.columns()
    expected = np.where((np.floor(2.25 + depth) + np.floor(z)) % 2 == 0, image[50].max(), 0)
    assert (image[50, :, 0] == expected).mean() > 0.97  # texture rows are counted upwards
    assert set(np.unique(image[50])) == {0, 255}


def test_far_texture_fades_into_its_mean():
    far = [((100, -200), (100, 200))]
    texture = Texture(BLACK_AND_WHITE, 0.1)
    image = RayCaster(world(far, wall=texture), CAMERA).render(np.zeros((1, 3)), NOTHING)[0]
    light = brightness(-1.0, 0.0)
    np.testing.assert_array_equal(image[30, 40], shaded((127.5,) * 3, light))


def random_boxes(random, rows, number):
    """Some on the floor, some on top of each other, some overhead; apart from each other."""
    places = np.array([(2.0, 2.0), (5.0, 2.0), (8.0, 2.0), (2.0, 6.0), (5.0, 6.0), (8.0, 6.0)])
    places = places[:number]
    heading = random.uniform(-np.pi, np.pi, (rows, number))
    x, z = places.T
    kinds = np.arange(number) % 3 + RED
    common = {"x": x, "z": z, "front": kinds, "sides": kinds, "cap": kinds}
    low = Boxes(heading=heading, depth=0.9, width=0.5, bottom=0, top=0.6, **common)
    upper = Boxes(heading=-heading, depth=0.4, width=0.2, bottom=0.6, top=1.2, **common)
    hanging = Boxes(heading=heading, depth=0.3, width=0.8, bottom=1.8, top=2.3, **common)
    keys = key([3.5, 6.5], [4.0, 4.0], random.uniform(-3, 3, (rows, 2)), [GREEN, BLUE])
    return join(low, upper, hanging, keys)


def rectangles(boxes, row):
    """Corner, two sides, outward normal and colour of all that there is to see, in 3D (x, y, z)."""
    for kind, y in ((FLOOR, 0.0), (CEILING, HEIGHT)):
        yield np.array([-500.0, y, -500]), np.array([1e3, 0, 0]), np.array([0, 0, 1e3]), 1.0, kind
    for (x0, z0), (x1, z1) in ROOM:
        inwards = np.array([5.0 - (x0 + x1) / 2, 4.0 - (z0 + z1) / 2])
        inwards /= np.linalg.norm(inwards)
        side = np.array([x1 - x0, 0.0, z1 - z0])
        yield np.array([x0, 0.0, z0]), side, np.array([0, HEIGHT, 0]), brightness(*inwards), WALL
    for k in range(boxes.table.shape[2]):
        box = {name: boxes[name][row, k] for name in FIELDS}
        ahead = np.array([np.cos(box["heading"]), 0.0, -np.sin(box["heading"])])
        right = np.array([np.sin(box["heading"]), 0.0, np.cos(box["heading"])])
        tall = np.array([0.0, box["top"] - box["bottom"], 0.0])
        length, width = box["depth"] * ahead, box["width"] * right
        corner = np.array([box["x"], box["bottom"], box["z"]]) - length / 2 - width / 2
        for start, side, normal in (
            (corner, width, -ahead),
            (corner + length, width, ahead),
            (corner, length, -right),
            (corner + width, length, right),
        ):
            yield start, side, tall, brightness(normal[0], normal[2]), box["front"]
        yield corner, length, width, DARKEST, box["cap"]
        yield corner + tall, length, width, 1.0, box["cap"]


def slow_picture(pose, boxes, row):
    """Every pixel's ray against every rectangle."""
    x, z, heading = pose
    right, up = np.meshgrid(CAMERA.columns(), CAMERA.rows())
    ray = np.stack(
        [
            np.cos(heading) + right * np.sin(heading),
            up,
            -np.sin(heading) + right * np.cos(heading),
        ],
        axis=-1,
    )
    nearest, image = np.full(up.shape, np.inf), np.zeros((*up.shape, 3), int)
    for corner, side, tall, light, kind in rectangles(boxes, row):
        normal = np.cross(side, tall)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (corner - [x, EYE, z]) @ normal / (ray @ normal)
            meeting = np.array([x, EYE, z]) + t[..., None] * ray - corner
        a, b = meeting @ side / (side @ side), meeting @ tall / (tall @ tall)
        hit = (a >= 0) & (a <= 1) & (b >= 0) & (b <= 1) & (t > 1e-6) & (t < nearest - 1e-9)
        nearest[hit] = t[hit]
        image[hit] = shaded(COLOURS[int(kind)], light)
    return image


def test_equals_a_caster_that_tries_every_rectangle_in_every_pixel():
    random = np.random.default_rng(3)
    poses = np.array([[3.5, 2.5, 0.3], [6.5, 5.5, 2.4], [1, 4, -0.2], [9, 7, 2.7], [2, 2.1, -1]])
    boxes = random_boxes(random, len(poses), 6)
    images = see(poses, boxes)
    for row, pose in enumerate(poses):
        different = (images[row] != slow_picture(pose, boxes, row)).any(axis=-1)
        assert different.sum() <= 2, row  # rays along an edge, by rounding
    assert min(is_colour(images, COLOURS[i]).sum() for i in (RED, GREEN, BLUE)) > 200


def test_rows_do_not_depend_on_the_batch():
    random = np.random.default_rng(0)
    poses = np.stack(
        [random.uniform(1, 9, 37), random.uniform(1, 7, 37), random.uniform(-9, 9, 37)], 1
    )
    boxes = random_boxes(random, 37, 6)
    images = see(
        poses, boxes, wall=speckled((90, 90, 90), 0.1), floor=tiled((9, 9, 9), (0, 0, 0), 1)
    )
    for row in (0, 15, 16, 36):
        own = boxes.rows(slice(row, row + 1))
        textures = {"wall": speckled((90, 90, 90), 0.1), "floor": tiled((9, 9, 9), (0, 0, 0), 1)}
        np.testing.assert_array_equal(see(poses[row], own, **textures)[0], images[row])


@pytest.mark.parametrize("threads", [0, 2, 3])
def test_threads_render_the_same_pictures(threads):
    random = np.random.default_rng(0)
    poses = random.uniform(1, 7, (37, 3))
    boxes = random_boxes(random, 37, 6)
    one, several = RayCaster(world(), CAMERA), RayCaster(world(), CAMERA, threads)
    np.testing.assert_array_equal(several.render(poses, boxes), one.render(poses, boxes))


def test_shared_boxes_are_in_every_row():
    poses = np.array([[2, 4, 0.1], [3, 5, 0.4]])
    shared = cube([6.0], [4.0], 0.3, 0.8, RED)
    each = cube([[6.0], [6.0]], [4.0], 0.3, 0.8, RED)
    np.testing.assert_array_equal(see(poses, shared), see(poses, each))


def test_an_empty_batch_is_an_empty_picture():
    assert see(np.zeros((0, 3))).shape == (0, 60, 80, 3)


def test_clearance_is_the_distance_to_the_nearest_wall():
    walls = np.array([((0.0, 0.0), (4.0, 0.0))])
    x, z = np.array([1.0, 7.0, -3.0]), np.array([2.0, 4.0, -4.0])
    np.testing.assert_allclose(clearance(walls, x, z), [2, 5, 5])


def test_textures_have_sides_of_powers_of_two():
    with pytest.raises(ValueError, match="powers of two"):
        Texture(np.zeros((3, 4, 3), np.uint8), 1.0)
    assert bricks((150, 60, 50), (200, 200, 200)).pixels.shape == (32, 64, 3)


def test_impossible_cameras_are_refused():
    with pytest.raises(ValueError, match="eye_height: got 3"):
        RayCaster(world(), LevelCamera(width=8, height=6, vertical_fov=1.0, eye_height=3.0))
    with pytest.raises(ValueError, match="field_of_view: got 180"):
        LevelCamera(width=8, height=6, vertical_fov=np.pi, eye_height=1.0)
    with pytest.raises(ValueError, match="image_height: got 0"):
        LevelCamera(width=8, height=0, vertical_fov=1.0, eye_height=1.0)
