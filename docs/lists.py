"""Writes the tables of the documentation: environments, algorithms and reference runs.

`python docs/lists.py` brings them up to date; with `--check` it only says whether they are. Each
stands between two lines, `<!-- list: env -->` (or algo, or runs) and `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from metarl_cli.commands.listing import description
from metarl_cli.commands.parts.frozen import load_config
from metarl_cli.config.build import flatten
from metarl_cli.config.compose import compose, options_of
from metarl_cli.reports.tables import reference_table
from metarl_cli.runtime.find_runs import find_runs
from metarl_cli.runtime.run_record import RunRecord

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")
REFERENCE = ROOT / "outputs" / "reference"
GROUPS = {"env": "environment", "algo": "algorithm"}
SECTION = re.compile(r"(<!-- list: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def renewed(text: str) -> str:
    """Return a page with the table between each pair of markers written anew."""
    return SECTION.sub(lambda found: found[1] + _table(found[2]) + found[3], text)


def _table(what: str) -> str:
    return _runs_table() if what == "runs" else _options_table(what)


def _options_table(group: str) -> str:
    """Return a row for each file of a group of `conf/`: the first line of its header."""
    rows = [f"| {GROUPS[group]} `{group}=` | what it is |", "|---|---|"]
    for option in options_of(group):
        first = description(f"{group}/{option}").partition("\n")[0]
        rows.append(f"| `{option}` | {first.rstrip('.')} |")
    return "\n".join(rows) + "\n"


def _runs_table() -> str:
    """Return the table of the reference runs, each with its changes of the environment."""
    runs = sorted(find_runs(REFERENCE), key=lambda run: run.folder)
    table = reference_table(runs)
    for run in runs:
        if changes := _changes_of_environment(run):
            name = run.folder.name
            table = table.replace(f"**{name}**", f"**{name}** ({changes})")
    return table


def _changes_of_environment(run: RunRecord) -> str:
    default = flatten(compose("train", [f"env={run.identity.env}"]).env)
    own = flatten(load_config(run).env)
    if own["tasks.mode"] == "fresh":
        del own["tasks.num_train"]  # without effect
    changed = {key: value for key, value in own.items() if default.get(key, value) != value}
    return ", ".join(f"{key}={_text(value)}" for key, value in changed.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def main(arguments: list[str]) -> int:
    """Write the pages, or tell (exit code 1) which are out of date."""
    old = [page for page in PAGES if renewed(page.read_text("utf-8")) != page.read_text("utf-8")]
    for page in old:
        if "--check" in arguments:
            sys.stderr.write(f"{page.name}: out of date; run: python docs/lists.py\n")
        else:
            page.write_text(renewed(page.read_text("utf-8")), encoding="utf-8")
    return int(bool(old) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
