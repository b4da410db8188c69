import pytest

from metarl_cli.commands.parts.env_facts import env_facts
from metarl_cli.config.make import make_family


def facts_of(name, mode="fresh", num_test=20, **settings):
    return env_facts(
        make_family(name=name, **settings), {"mode": mode, "num_train": 9, "num_test": num_test}
    )


def test_spaces_tasks_and_anchors_of_a_continuous_family():
    facts = facts_of("point_nav")
    assert facts["action"] == "float32 (2,) from -1 to 1"
    assert facts["hidden task"] == "goal_x, goal_y in [-0.5, 0.5]"
    assert facts["tasks"] == "training: fresh ones of infinitely many; testing: 20 others"
    assert facts["horizon"] == "100 steps"
    assert facts["info"] == "success, unstable"
    assert facts["mean return"] == "stand_still -38.26; oracle -0.51"


def test_many_parameters_are_not_named_one_by_one():
    assert facts_of("tabular_mdp", num_states=3, num_actions=4)["hidden task"] == (
        "reward_0_0 ... reward_2_3 (12) in [-4, 6]; weight_0_0_0 ... weight_2_3_2 (36) in [0, 1]"
    )


def test_returns_of_several_episodes_follow_one_another():
    assert "bayes_optimal 4.00 > 11.07" in facts_of("gridnavi")["mean return"]


@pytest.mark.parametrize(
    ("name", "mode", "sets"),
    [
        ("point_nav", "finite", "training: 9 fixed ones of infinitely many; testing: 20 others"),
        ("gridnavi", "fresh", "training: all 21; testing: 20 of the same"),
        ("bus_city", "fresh", "training: 53; testing: 20 of 523 others"),
        ("bus_city", "finite", "training: 9 fixed ones of 53; testing: 20 of 523 others"),
    ],
)
def test_task_sets_in_words(name, mode, sets):
    assert facts_of(name, mode=mode)["tasks"] == sets


def test_images_with_an_instruction():
    facts = facts_of("sign_nav")
    assert facts["observation"] == (
        "image: uint8 (60, 80, 3) from 0 to 255; instruction: Discrete(2)"
    )
