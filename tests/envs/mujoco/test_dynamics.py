import mujoco
import numpy as np
import pytest
from helpers import batch_of

from metarl_cli.envs.mujoco.dynamics import FIELDS, RandomDynamics
from metarl_cli.envs.mujoco.physics import Physics
from metarl_cli.envs.mujoco.robots import compile_model, find_robot

DOUBLING = dict.fromkeys(FIELDS, 2.0)
# a 2 kg box pushed along x on ice that may be rough, and a 3 kg m^2 wheel
BOX_AND_WHEEL = """
<mujoco>
  <option timestep="0.01" gravity="0 0 -10" cone="elliptic"/>
  <worldbody>
    <geom name="ground" type="plane" size="9 9 1" friction="0 0 0"/>
    <body name="box" pos="0 0 0.1">
      <joint name="x" type="slide" axis="1 0 0" damping="4"/>
      <joint name="z" type="slide" axis="0 0 1"/>
      <geom name="box" type="box" size=".1 .1 .1" mass="2" friction="0.1 0 0"/>
    </body>
    <body name="wheel" pos="0 5 1">
      <joint name="turn" type="hinge" axis="0 1 0" damping="6"/>
      <inertial pos="0 0 0" mass="1" diaginertia="3 3 3"/>
    </body>
  </worldbody>
  <actuator><motor joint="x"/></actuator>
</mujoco>"""


def simulations(num_envs, bases=DOUBLING, xml=BOX_AND_WHEEL):
    model = mujoco.MjModel.from_xml_string(xml)
    dynamics = RandomDynamics(model, exponent_range=[-3.0, 3.0], bases=bases)
    physics = Physics(model, num_envs, 1)
    return physics, dynamics, dynamics.of(physics)


def exponents(dynamics, num_envs, **chosen):
    """All zero but those named, in the last row."""
    values = np.zeros((num_envs, len(dynamics.task_names)))
    for name, value in chosen.items():
        values[-1, dynamics.task_names.index(name)] = value
    return values


def velocities_after_one_step(parameter, *, force=0.0, rate=0.0):
    """Push the box, or let the wheel turn: velocities `[2, 3]`, nominal and with one doubled."""
    physics, dynamics, applied = simulations(2)
    applied.apply(exponents(dynamics, 2, **{parameter: 1.0}), np.arange(2))
    physics.reset(np.arange(2))
    physics.step(None, 200)  # the box comes to rest on the ground
    physics.qvel[:, 2], physics.ctrl[:, 0] = rate, force
    physics.step(None, 1)
    return physics.qvel.copy()


def test_entries_that_are_zero_are_no_part_of_the_task():
    _, dynamics, _ = simulations(1)
    assert dynamics.task_names == (
        "body_mass_box",
        "body_mass_wheel",
        *(f"body_inertia_{body}_{axis}" for body in ("box", "wheel") for axis in "xyz"),
        "geom_friction_box_0",
        "dof_damping_x",
        "dof_damping_turn",
    )


def test_doubled_mass_is_that_of_one_body_in_one_simulation():
    physics, dynamics, applied = simulations(3)
    applied.apply(exponents(dynamics, 3, body_mass_box=1.0), np.arange(3))
    masses = physics.batch.expanded("body_mass")
    np.testing.assert_array_equal(masses, [[0, 2, 1], [0, 2, 1], [0, 4, 1]])
    np.testing.assert_array_equal(physics.batch.expanded("geom_friction")[:, 1, 0], 0.1)


@pytest.mark.parametrize(
    ("parameter", "mass", "friction", "damping"),
    [
        ("body_mass_box", 4.0, 0.1, 4.0),
        ("geom_friction_box_0", 2.0, 0.2, 4.0),
        ("dof_damping_x", 2.0, 0.1, 8.0),
    ],
)
def test_mass_friction_and_damping_slow_what_is_pushed(parameter, mass, friction, damping):
    nominal, doubled = velocities_after_one_step(parameter, force=8.0)
    for velocity, (m, mu, d) in ((nominal, (2, 0.1, 4)), (doubled, (mass, friction, damping))):
        # 8 N against friction for 0.01 s; damping acts on the new speed; contacts are a little soft
        assert velocity[0] == pytest.approx(0.01 * (8 - mu * 10 * m) / (m + 0.01 * d), rel=0.05)


def test_inertia_and_damping_slow_what_turns():
    for parameter, inertia, damping in (
        ("body_inertia_wheel_y", 6, 6),
        ("dof_damping_turn", 3, 12),
    ):
        nominal, doubled = velocities_after_one_step(parameter, rate=1.0)
        assert nominal[2] == pytest.approx(3 / (3 + 0.01 * 6))  # rad/s
        assert doubled[2] == pytest.approx(inertia / (inertia + 0.01 * damping))


def test_what_mujoco_derives_from_the_parameters_follows_them():
    model = compile_model(find_robot("hopper_params"))
    physics = Physics(model, 2, 1)
    dynamics = RandomDynamics(model, exponent_range=[-3.0, 3.0], bases=DOUBLING)
    uniform = np.random.default_rng(0).random((2, len(dynamics.task_names)))
    dynamics.of(physics).apply(dynamics.tasks_from_uniform(uniform), np.arange(2))
    ours = physics.batch.get_model(1)
    for field in FIELDS:
        getattr(model, field)[:] = getattr(ours, field)
    mujoco.mj_setConst(model, mujoco.MjData(model))
    for field in ("body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0"):
        np.testing.assert_array_equal(getattr(ours, field), getattr(model, field))


def test_only_simulations_whose_task_changed_are_computed_anew():
    class Spy:
        def __init__(self, batch):
            self.nsim, self.expand, self.rows = batch.nsim, batch.expand, []

        def set_const(self, rows):
            self.rows.append(rows.tolist())

    physics, dynamics, _ = simulations(3)
    values = exponents(dynamics, 3)
    physics.batch = spy = Spy(physics.batch)
    applied = dynamics.of(physics)
    applied.apply(values, np.arange(3))
    applied.apply(values, np.arange(3))
    values[1, 0] = 1.0
    applied.apply(values[1:], np.array([1, 2]))
    assert spy.rows == [[0, 1, 2], [1]]


@pytest.mark.parametrize(("name", "size"), [("walker_params", 58), ("hopper_params", 34)])
def test_every_parameter_of_the_robot_varies(name, size):
    # bodies + 3 axes each + 3 coefficients of each geom and the floor + hinges
    links, hinges = {"walker_params": (7, 6), "hopper_params": (4, 3)}[name]
    assert size == links + 3 * links + 3 * (links + 1) + hinges
    env = batch_of(name=name, num_envs=300)
    env.reset(seed=0)
    assert env.tasks.shape == (300, size) and np.abs(env.tasks).max() <= 3
    model, batch = env.physics.model, env.physics.batch
    for field, most in (*dict.fromkeys(FIELDS[:3], 1.5**3).items(), ("dof_damping", 1.3**3)):
        nominal = getattr(model, field)
        values = batch.expanded(field)
        assert (values[:, nominal == 0] == 0).all()
        factors = values[:, nominal != 0] / nominal[nominal != 0]
        assert 1 / most <= factors.min() < 1.1 / most and 0.9 * most < factors.max() <= most
        assert np.median(factors) == pytest.approx(1, abs=0.1)


def test_dynamics_last_until_the_task_changes():
    env = batch_of(name="hopper_params", num_envs=2)
    first = env.family.sample_tasks(2, np.random.default_rng(0))
    env.reset(seed=0, task=first)
    masses = env.physics.batch.expanded("body_mass").copy()
    for _ in range(5):
        env.step(np.zeros((2, 3)))
    env.reset()
    np.testing.assert_array_equal(env.physics.batch.expanded("body_mass"), masses)
    env.reset(task=np.stack([first[1], first[1]]))
    np.testing.assert_array_equal(env.physics.batch.expanded("body_mass"), masses[[1, 1]])


def test_exponents_of_zero_are_the_robot_as_it_is():
    varied = batch_of(name="walker_params", num_envs=1)
    fixed = batch_of(name="walker_params", num_envs=1, dynamics=None)
    assert fixed.tasks.shape == (1, 0)
    varied.reset(seed=0, task=np.zeros(58)), fixed.reset(seed=0)
    for env in (varied, fixed):
        env.qpos[:] = varied.physics.model.qpos0 + 0.01
        env.qvel[:] = 0.1
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 1, 6)):
        ours, theirs = varied.step(action), fixed.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1] == theirs[1]


def test_objective_and_dynamics_share_the_task():
    objective = {"objective._target_": "metarl_cli.envs.mujoco.objectives.Direction"}
    env = batch_of(name="walker_params", num_envs=2, **objective)
    assert (
        env.family.task_names[:2] == ("direction", "body_mass_torso")
        and env.family.all_tasks is None
    )
    env.reset(seed=0, task=np.r_[-1.0, 1.0, np.zeros(57)])
    *_, info = env.step(np.zeros((2, 6)))
    np.testing.assert_array_equal(info["reward_goal"], -info["velocity"])
    factors = env.physics.batch.expanded("body_mass")[:, 1:] / env.physics.model.body_mass[1:]
    np.testing.assert_allclose(factors, [[1.5, 1, 1, 1, 1, 1, 1]] * 2)
    tasks = env.family.sample_tasks(100, np.random.default_rng(0))
    assert set(tasks[:, 0]) == {-1.0, 1.0} and len(set(tasks[:, 1])) == 100


def test_unknown_field_is_named():
    with pytest.raises(ValueError, match=r"dynamics\.bases: got 'colour', expected one of"):
        simulations(1, bases={"colour": 2.0})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dynamics.exponent_range": [1, 1]}, "dynamics.exponent_range: got [1, 1], expected"),
        ({"dynamics.bases.dof_damping": 0}, "dynamics.bases.dof_damping: got 0, expected a number"),
        ({"velocity": "center_of_mass"}, "dynamics: the center of mass is known for the nominal"),
    ],
)
def test_arguments_out_of_range_are_named(settings, message):
    with pytest.raises(Exception) as error:
        batch_of(name="walker_params", num_envs=1, **settings)
    assert message in str(error.value) and "\n" not in str(error.value)
