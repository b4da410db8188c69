"""The folder of a sweep follows from its command line."""

from __future__ import annotations

import re

from metarl_cli.config.naming import sweep_folder, with_sweep_folder

WORDS = ["-m", "env=point_nav", "algo=maml", "seed=0,1", "algo.inner.step_size=choice(0.1,0.2)"]


def test_same_command_has_the_same_folder_whatever_hydra_is_told() -> None:
    folder = sweep_folder(WORDS)
    assert re.fullmatch(
        r"outputs/sweep/point_nav-maml-by-seed-algo.inner.step_size-[0-9a-f]{8}", folder
    )
    assert sweep_folder([*WORDS, "hydra.launcher.n_jobs=4", "hydra/launcher=basic"]) == folder
    assert sweep_folder([*WORDS, "budget=smoke"]) != folder


def test_swept_groups_stand_among_the_keys_and_lists_are_no_sweep() -> None:
    folder = sweep_folder(["env=point_nav,nav2d", "algo=maml", "network.hidden=[64,64]"])
    assert folder.startswith("outputs/sweep/maml-by-env-")
    assert re.fullmatch(r"outputs/sweep/[0-9a-f]{8}", sweep_folder(["network.hidden=[64,64]"]))


def test_only_sweeps_of_trainings_that_name_no_folder_get_one() -> None:
    assert with_sweep_folder("train", WORDS) == [*WORDS, f"hydra.sweep.dir={sweep_folder(WORDS)}"]
    assert with_sweep_folder("train", [*WORDS, "hydra.sweep.dir=x"]) == [
        *WORDS,
        "hydra.sweep.dir=x",
    ]
    assert with_sweep_folder("train", WORDS[1:]) == WORDS[1:]
    assert with_sweep_folder("eval", WORDS) == WORDS
