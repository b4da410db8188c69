import json

from metarl_cli.cli import main


def test_a_published_run_is_small_complete_and_can_be_measured_again(train, here):
    assert train("logger=[jsonl]") == 0
    assert main(["publish", "checkpoint=latest"]) == 0
    copy = here / "outputs/reference/point_nav-maml"
    names = {"config.yaml", "meta.json", "eval.json", "metrics.jsonl", "curves.png", "checkpoints"}
    assert {path.name for path in copy.iterdir()} == names
    measured = json.loads((copy / "eval.json").read_text())
    assert main(["eval", f"checkpoint={copy}", "output=again.json"]) == 0
    again = json.loads((here / "again.json").read_text())
    assert again["episodes"] == measured["episodes"] and again["tasks"] == measured["tasks"]


def test_publishing_never_overwrites_and_refuses_an_unfinished_run(train, here, capsys):
    assert train("logger=[jsonl]") == 0
    assert main(["publish", "checkpoint=latest"]) == 0
    assert main(["publish", "checkpoint=latest"]) == 2
    assert "exists already" in capsys.readouterr().err
    run = here / "outputs/train/run"
    meta = json.loads((run / "meta.json").read_text())
    (run / "meta.json").write_text(json.dumps(meta | {"status": "interrupted"}))
    assert main(["publish", "checkpoint=latest", "to=elsewhere"]) == 2
    assert "not a finished run" in capsys.readouterr().err
