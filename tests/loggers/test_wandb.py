import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb

from metarl_cli.core.errors import UserError
from metarl_cli.loggers.wandb import WandbLogger, flatten


@pytest.fixture(autouse=True)
def home_without_key(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "no-such-home"))
    monkeypatch.setenv("WANDB_X_DISABLE_STATS", "true")
    yield
    wandb.teardown()


def start(run_dir, mode="auto", **changes):
    keywords = {
        "project": "metarl", "entity": None, "group": None, "tags": ["seed 0"],
        "init_timeout_s": 1.0, "finish_timeout_s": 5.0, "run_dir": run_dir,
        "config": {"env": {"num": 2, "name": "point"}, "hidden": [64, 64]},
        "name": "maml-point-s0", "default_group": "point/maml", "job_type": "train",
    }  # fmt: skip
    return WandbLogger(mode, **(keywords | changes))


def records(run_dir):
    (file,) = Path(run_dir).glob("wandb/offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def random_states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def service_pid():
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = stat.read_text().split()
        if fields[1] == "(wandb-core)" and int(fields[3]) == os.getpid():
            return int(fields[0])
    raise AssertionError("no wandb-core below this process")


def test_without_a_key_the_run_is_offline_complete_and_undisturbed(tmp_path, capsys):
    before = random_states(), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    logger = start(run_dir, run_id="abc123")
    for step in (100, 200):
        logger.log({"train/return_0": step / 10, "train/bad": float("nan")}, step)
    logger.video("test", np.zeros((3, 8, 8, 3), np.uint8), 200)
    (run_dir / "latest.pt").write_bytes(b"weights")
    logger.artifact(run_dir / "latest.pt", "checkpoint", ["latest"])
    logger.close("finished")
    after = random_states(), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert after == before
    assert not (tmp_path / "no-such-home").exists()
    assert not {"WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR"} & set(os.environ)

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("W&B: offline (no API key). Data in ")
    assert f"wandb sync {run_dir}/wandb/offline-run-" in lines[0]

    written = records(run_dir)
    run = next(record["run"] for record in written if record["type"] == "run")
    assert (run["run_id"], run["run_group"]) == ("abc123", "point/maml")
    assert run["config"]["update"].items() >= {"env.num": 2, "hidden": "[64, 64]"}.items()
    rows = [record["history"]["item"] for record in written if record["type"] == "history"]
    assert [row["train/return_0"] for row in rows if "train/return_0" in row] == [10.0, 20.0]
    assert [row["env_steps"] for row in rows] == [100, 200, 200]
    assert not any("train/bad" in row for row in rows)
    assert any("video/test" in json.dumps(row) for row in rows)


def test_killed_service_costs_one_line_and_no_time(tmp_path, capsys):
    logger = start(tmp_path, "offline")
    logger.log({"a": 1.0}, 1)
    os.kill(service_pid(), signal.SIGKILL)
    time.sleep(0.2)
    started = time.monotonic()
    for step in range(20):
        logger.log({"a": 1.0}, step)
    logger.close("finished")
    assert time.monotonic() - started < 5.0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[1].startswith("W&B: stopped working (log: ")


def test_hung_service_does_not_hold_up_an_interrupted_run(tmp_path, capsys):
    logger = start(tmp_path, "offline")
    os.kill(service_pid(), signal.SIGSTOP)
    started = time.monotonic()
    logger.close("interrupted")
    assert time.monotonic() - started < 5.0
    assert "not all uploaded" in capsys.readouterr().err


def test_unreachable_server_falls_back_to_offline_in_the_same_process(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    logger = start(tmp_path)
    logger.log({"a": 1.0}, 1)
    logger.close("finished")
    assert capsys.readouterr().err.startswith("W&B: offline (")
    assert any(record["type"] == "history" for record in records(tmp_path))


def test_online_without_a_key_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^W&B: no API key; .*logger\.wandb\.mode=offline$"):
        start(tmp_path, "online")


def test_unknown_mode_is_refused(tmp_path):
    with pytest.raises(UserError, match="auto, online, offline, disabled"):
        start(tmp_path, "sometimes")


def test_disabled_runs_never_load_wandb(tmp_path):
    code = (
        "import sys; from metarl_cli.loggers.wandb import WandbLogger as W;"
        "w = W('disabled', 'p', None, None, [], 1, 1, run_dir='.', config={}, name='n',"
        " default_group='g', job_type='train'); w.log({'a': 1}, 1); w.close('finished');"
        "sys.exit('wandb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_run_id_of_the_environment_wins(tmp_path, monkeypatch):
    assert start(tmp_path, "disabled", run_id="mine").run_id == "mine"
    monkeypatch.setenv("WANDB_RUN_ID", "theirs")
    assert start(tmp_path, "disabled", run_id="mine").run_id == "theirs"


def test_flatten_joins_keys_with_dots():
    nested = {"a": {"b": 1, "c": {"d": None}}, "e": [1, 2]}
    assert flatten(nested) == {"a.b": 1, "a.c.d": None, "e": "[1, 2]"}
