"""`metarl eval`, attacked."""

from __future__ import annotations

import errno
import functools
import json
import operator
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from metarl_cli.cli import main
from metarl_cli.commands.parts.assemble import assemble
from metarl_cli.commands.parts.frozen import settings_of
from metarl_cli.core.errors import RunError, UserError
from metarl_cli.runtime import evaluation
from metarl_cli.runtime.checkpoint import CheckpointStore
from metarl_cli.runtime.run_record import RunRecord

Call = Callable[..., int]
RUN = Path("outputs/train/run")
CONFIG = RUN / "config.yaml"


def one_line(capsys: pytest.CaptureFixture) -> str:
    """Return what was said on stderr, which must be one line of ours."""
    err = capsys.readouterr().err
    assert err.startswith("metarl: "), err
    assert err.count("\n") == 1, err
    return err


def document() -> dict[str, Any]:
    """The newest eval.json."""
    return json.loads(max(Path("outputs/eval").rglob("eval.json")).read_text())


def change_config(change: Callable[[dict[str, Any]], object]) -> None:
    config = yaml.safe_load(CONFIG.read_text())
    change(config)
    CONFIG.write_text(yaml.safe_dump(config))


def test_best_gives_the_numbers_of_the_training_run_again(run: Path) -> None:
    assert main(["eval", "checkpoint=best"]) == 0
    measured, trained = document(), json.loads((run / "eval.json").read_text())
    used = trained.pop("checkpoint")
    assert used == json.loads((run / "checkpoints/best.json").read_text())["file"]
    assert measured.pop("checkpoint") == f"outputs/train/run/checkpoints/{used}"
    assert measured == trained


def test_settings_of_the_run_can_be_changed(run: Path) -> None:
    config = CONFIG.read_text()
    changes = ["env.tasks.test_seed=7", "env.tasks.num_test=3", "meta_test.episodes=1"]
    assert main(["eval", "checkpoint=latest", *changes]) == 0
    measured = document()
    assert (measured["test_seed"], measured["num_tasks"]) == (7, 3)
    assert (len(measured["tasks"]), len(measured["episodes"])) == (3, 2)
    assert CONFIG.read_text() == config


def test_best_and_a_file_name_what_was_measured(run: Path) -> None:
    best = json.loads((run / "checkpoints/best.json").read_text())
    assert main(["eval", "checkpoint=best", "output=best.json"]) == 0
    assert json.loads(Path("best.json").read_text())["env_steps"] == best["env_steps"]
    file = run / "checkpoints/ckpt-000000000120.pt"
    assert main(["eval", f"checkpoint={file}", "output=first.json"]) == 0
    first = json.loads(Path("first.json").read_text())
    assert (first["checkpoint"], first["env_steps"]) == (str(file), 120)


def test_threshold_decides_the_exit_code(run: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["eval", "checkpoint=latest", "min_return=-1000"]) == 0
    assert main(["eval", "checkpoint=latest", "min_return=0"]) == 1
    assert "is below min_return=0" in capsys.readouterr().err
    assert main(["eval", "checkpoint=latest", "min_success=1"]) == 1
    assert "success 0.000 is below min_success=1" in capsys.readouterr().err


@pytest.mark.parametrize("reference", ["nowhere", "outputs", "outputs/train/run/config.yaml"])
def test_missing_checkpoint_is_one_line(
    run: Path, capsys: pytest.CaptureFixture, reference: str
) -> None:
    assert main(["eval", f"checkpoint={reference}"]) == 2
    assert reference in one_line(capsys)
    assert not Path("outputs/eval").exists()


def test_checkpoint_of_another_algorithm_is_one_line(
    run: Path, train: Call, capsys: pytest.CaptureFixture
) -> None:
    quick = ["algo.ppo.epochs=1", "algo.ppo.num_minibatches=1"]
    assert train("algo=multitask_ppo", *quick, "hydra.run.dir=outputs/train/other") == 0
    shutil.rmtree(run / "checkpoints")
    shutil.copytree("outputs/train/other/checkpoints", run / "checkpoints")
    capsys.readouterr()
    for arguments in (["eval", f"checkpoint={run}"], ["train", f"resume={run}"]):
        assert main(arguments) == 2
        assert "it holds model, optimizer, not policy" in one_line(capsys)


def test_checkpoint_of_another_network_is_one_line(
    run: Path, capsys: pytest.CaptureFixture
) -> None:
    change_config(lambda config: config["network"].update(hidden=[8]))
    assert main(["eval", f"checkpoint={run}"]) == 2
    assert "does not fit this configuration" in one_line(capsys)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"a: [", b"[1, 2]", b"a: 1", b"env: ${nowhere}", b"a: ${oc.env:NO}"],
)
def test_damaged_config_is_one_line(
    run: Path, capsys: pytest.CaptureFixture, content: bytes
) -> None:
    CONFIG.write_bytes(content)
    for arguments in (["eval", f"checkpoint={run}"], ["train", f"resume={run}"]):
        assert main(arguments) == 2
        one_line(capsys)


def paths(tree: Any, prefix: tuple = ()) -> Iterator[tuple]:
    for key, value in tree.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from paths(value, (*prefix, key))


def test_config_without_any_one_of_its_keys_or_with_nonsense_is_no_crash(run: Path) -> None:
    intact, folder = CONFIG.read_text(), RunRecord(run)
    outcomes = set()
    for path in paths(yaml.safe_load(intact)):
        for nonsense in (None, "nonsense"):
            config = yaml.safe_load(intact)
            node = config
            for key in path[:-1]:
                node = node[key]
            if nonsense is None:
                del node[path[-1]]
            else:
                node[path[-1]] = nonsense
            CONFIG.write_text(json.dumps(config))  # JSON is YAML, and quick
            try:
                assemble(settings_of(folder, OmegaConf.create({})))
                outcomes.add("built")
            except UserError:
                outcomes.add("refused")
    assert outcomes == {"built", "refused"}


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("os.system", {"command": "touch witness"}),
        ("subprocess.check_output", {"args": ["touch", "witness"]}),
        ("metarl_cli.cli.main", {"argv": ["eval", "checkpoint=x", "output=witness"]}),
        ("metarl_cli.runtime.runs.subprocess.check_output", {"args": ["touch", "witness"]}),
    ],
)
@pytest.mark.parametrize("place", ["root", "nested", "objective"])
def test_config_of_a_stranger_runs_nothing(
    run: Path, capsys: pytest.CaptureFixture, target: str, arguments: dict, place: str
) -> None:
    node = {"_target_": target, **arguments}
    if place == "root":
        change_config(lambda config: config.update(env=node, plugins=[target.split(".")[0]]))
    elif place == "nested":
        change_config(lambda config: config["env"].update(goal_range=node))
    else:
        change_config(lambda config: config["env"].update(objective=node))
    for command in (["eval", f"checkpoint={run}"], ["train", f"resume={run}"]):
        assert main(command) == 2
        one_line(capsys)
    assert not Path("witness").exists()


@pytest.mark.parametrize("place", ["algo.trpo", "algo.inner.step_size", "env.horizon", "network"])
def test_logger_in_the_config_of_a_stranger_touches_no_file(
    run: Path, capsys: pytest.CaptureFixture, place: str
) -> None:
    Path("precious").write_text("all that I have")
    logger = {"_target_": "metarl_cli.loggers.jsonl.JsonlLogger", "path": "precious"}
    *groups, key = place.split(".")
    change_config(
        lambda config: functools.reduce(operator.getitem, groups, config).update({key: logger})
    )
    for command in (["eval", f"checkpoint={run}"], ["train", f"resume={run}"]):
        assert main(command) == 2
        assert f"{place}._target_" in one_line(capsys)
    assert Path("precious").read_text() == "all that I have"


def test_config_of_a_stranger_reads_no_environment(
    run: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METARL_SECRET", "hunter2")
    change_config(lambda config: config.update(device="${oc.env:METARL_SECRET}"))
    assert main(["eval", f"checkpoint={run}"]) == 2
    line = one_line(capsys)
    assert "no interpolation" in line
    assert "hunter2" not in line


def test_result_is_shown_even_if_it_cannot_be_written(
    run: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: object) -> None:
        raise RunError(f"cannot write {path}: {os.strerror(errno.ENOSPC)}")

    monkeypatch.setattr(evaluation, "write_json", full)
    assert main(["eval", "checkpoint=latest"]) == 1
    said = capsys.readouterr()
    assert "Adaptation: return" in said.out
    assert said.err.count("\n") == 1
    assert "No space left on device" in said.err


def test_output_below_a_file_is_one_line(run: Path, capsys: pytest.CaptureFixture) -> None:
    Path("file").write_text("")
    assert main(["eval", "checkpoint=latest", "output=file/eval.json"]) == 2
    assert "cannot write into file" in capsys.readouterr().err


def test_run_whose_facts_are_lost_can_still_be_measured(run: Path) -> None:
    (run / "meta.json").write_text("{")
    assert main(["eval", "checkpoint=latest"]) == 0


def test_checkpoint_with_the_right_parts_of_wrong_form_is_one_line(
    run: Path, capsys: pytest.CaptureFixture
) -> None:
    store = CheckpointStore(run / "checkpoints")
    state = store.load_latest()[0]
    for parts in ({"policy": None}, {"policy": {}}, {"policy": {"x": torch.zeros(1)}}, {}, 5):
        store.save(state | {"learned": parts}, env_steps=1000, iteration=9, score=0.0, best=True)
        assert main(["eval", f"checkpoint={run}"]) == 2
        assert "does not fit this configuration" in one_line(capsys)
