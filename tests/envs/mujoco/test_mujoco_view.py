import subprocess
import sys

import mujoco
import numpy as np
import pytest

from metarl_cli.envs.base.drawing import GREEN
from metarl_cli.envs.mujoco.arrows import Arrow
from metarl_cli.envs.mujoco.opengl import opengl_backend
from metarl_cli.envs.mujoco.view import ABOVE, HEIGHT, SIDE, WIDTH, SceneCamera, SceneView

LEVEL = SceneCamera(azimuth=90, elevation=0, span=3.2, height=1.0)  # 100 pixels per metre
DOWN = SceneCamera(azimuth=90, elevation=-90, span=3.2, place=(0.0, 0.0))
MOVING_BALL = """
<mujoco><worldbody>
  <geom type="plane" size="9 9 1"/>
  <body pos="0 0 1"><joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/>
    <geom type="sphere" size=".2" rgba="1 0 0 1"/></body>
</worldbody></mujoco>"""


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")


def scene(xml, camera):
    return SceneView(mujoco.MjModel.from_xml_string(xml), camera)


def geoms(*lines):
    return f"<mujoco><worldbody>{''.join(f'<geom {line}/>' for line in lines)}</worldbody></mujoco>"


def is_red(picture):
    return (picture[..., 0] > 100) & (picture[..., 1:].max(-1) < 20)


def test_camera_looks_along_y_and_down():
    np.testing.assert_allclose(LEVEL.axes(), [[1, 0, 0], [0, 0, 1], [0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(DOWN.axes(), [[1, 0, 0], [0, 1, 0], [0, 0, -1]], atol=1e-12)


def test_plain_picture_has_the_right_scale(plain):
    picture = scene(MOVING_BALL, LEVEL).picture(np.zeros(2))
    assert picture.shape == (HEIGHT, WIDTH, 3) and picture.dtype == np.uint8
    rows, columns = np.nonzero(is_red(picture))
    assert np.ptp(rows) + 1 == pytest.approx(40, abs=2)  # 0.4 m
    assert np.ptp(columns) + 1 == pytest.approx(40, abs=2)
    assert (rows.mean(), columns.mean()) == pytest.approx((119.5, 159.5), abs=1)


def test_plain_picture_from_above_has_x_to_the_right_and_y_upwards(plain):
    rows, columns = np.nonzero(is_red(scene(MOVING_BALL, DOWN).picture(np.array([1.0, 0.5]))))
    assert (rows.mean(), columns.mean()) == pytest.approx((69.5, 259.5), abs=1)


def test_camera_follows_the_robot_over_a_ground_that_repeats(plain):
    view = scene(MOVING_BALL, LEVEL)
    here, there, beyond = (view.picture(np.array([x, 0.0])) for x in (0.0, 1.0, 2.0))
    np.testing.assert_array_equal(is_red(here), is_red(there))
    assert (here != there).any()
    np.testing.assert_array_equal(here, beyond)


@pytest.mark.parametrize("camera", [LEVEL, DOWN])
def test_near_geoms_hide_far_ones(plain, camera):
    ball = 'type="sphere" size=".3"'
    near, far = f'{ball} pos="0 -.5 1.5" rgba="1 0 0 1"', f'{ball} pos="0 .5 .5" rgba="0 0 1 1"'
    place = SceneCamera(camera.azimuth, camera.elevation, 3.2, height=1.0, place=(0.0, 0.0))
    pictures = [scene(geoms(*order), place).picture([]) for order in ((near, far), (far, near))]
    np.testing.assert_array_equal(*pictures)
    near, far = (
        geom.replace(" -.5 1.5", " 0 1.5").replace(" .5 .5", " 0 .5") for geom in (near, far)
    )
    assert is_red(scene(geoms(far, near), DOWN).picture([]))[120, 160]


@pytest.mark.parametrize(
    ("geom", "area"),
    [
        ('type="box" size=".5 .3 .2"', 100 * 60),
        ('type="cylinder" size=".4 .2"', np.pi * 40**2),
        ('type="capsule" size=".1 .5" euler="0 90 0"', 100 * 20 + np.pi * 10**2),
        ('type="ellipsoid" size=".2 .2 .2"', np.pi * 20**2),
        ('type="sphere" size=".2" group="4"', 0),
        ('type="sphere" size=".2" rgba="1 0 0 0"', 0),
    ],
)
def test_every_shape_has_its_size(plain, geom, area):
    geom = geom if "rgba" in geom else geom + ' rgba="1 0 0 1"'
    picture = scene(geoms(geom), DOWN).picture([])
    assert is_red(picture).sum() == pytest.approx(area, rel=0.05)


def test_goals_are_drawn_and_kept_in_sight(plain):
    view = scene(MOVING_BALL, ABOVE)
    green = [(view.picture(np.zeros(2), [(x, 0.0, 0.0, 0.5)]) == GREEN).all(-1) for x in (0.5, 8.0)]
    assert green[0].sum() > green[1].sum() > 50
    assert is_red(view.picture(np.zeros(2), [(8.0, 0.0, 0.0, 0.5)])).any()


def test_no_backend_gives_the_plain_picture(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")
    expected = scene(MOVING_BALL, SIDE).picture(np.zeros(2))
    monkeypatch.setenv("MUJOCO_GL", "no_such_backend")
    assert opengl_backend() is None
    np.testing.assert_array_equal(scene(MOVING_BALL, SIDE).picture(np.zeros(2)), expected)


def test_opengl_pictures_repeat_and_leave_no_noise_behind(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    if opengl_backend() is None:
        pytest.skip("no OpenGL on this machine")
    program = f"""
import mujoco, numpy as np
from metarl_cli.envs.mujoco.view import ABOVE, SceneView
model = mujoco.MjModel.from_xml_string('''{MOVING_BALL}''')
closed, left_open = SceneView(model, ABOVE), SceneView(model, ABOVE)
goals = [(0.5, 1.0, 0.0, 0.4)]
first, second, other = (v.picture(np.zeros(2), goals) for v in (closed, closed, left_open))
closed.close(), closed.close()
bare = left_open.picture(np.zeros(2))
green = first[..., 1].astype(int) - first[..., 0] > 20  # lit dimly
print((first == second).all(), (first == other).all(), (first != bare).any(), green.sum() > 500)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["True"] * 4
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize("velocity", [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)])
def test_arrows_from_above_point_where_the_velocity_does(plain, velocity):
    arrow = Arrow(np.array(velocity), GREEN)
    rows, columns = np.nonzero(is_green(scene(MOVING_BALL, DOWN).picture(np.zeros(2), (), [arrow])))
    away = np.array([columns.mean() - 159.5, 119.5 - rows.mean()])
    assert away @ velocity > 20  # its middle, of 60 pixels
    assert abs(away @ velocity[::-1]) < 2


def test_arrows_are_as_long_as_the_speed_and_side_views_have_them_above_the_robot(plain):
    view, lengths = scene(MOVING_BALL, SIDE), []
    for speed in (0.5, 1.0, 2.0):
        arrow = Arrow(np.array([speed, 0.0]), GREEN)
        rows, columns = np.nonzero(is_green(view.picture(np.zeros(2), (), [arrow])))
        assert rows.max() < 40
        lengths.append(np.ptp(columns))
    assert lengths == pytest.approx([0.5 * 48, 48, 2 * 48], abs=3)  # 0.6 m per m/s, 80 pixels per m


def test_arrow_without_length_is_a_dot(plain):
    picture = scene(MOVING_BALL, DOWN).picture(np.zeros(2), (), [Arrow(np.zeros(2), GREEN)])
    rows, columns = np.nonzero(is_green(picture))
    assert max(np.ptp(rows), np.ptp(columns)) < 8


def is_green(picture):
    return (picture == GREEN).all(-1)
