"""`metarl <command> --help`: its groups, and every setting with what it means."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence

from metarl_cli.commands.words.comments import header_of
from metarl_cli.commands.words.explanations import Setting, explain_settings
from metarl_cli.commands.words.lines import paragraph
from metarl_cli.commands.words.pages import options_line, settings_lines
from metarl_cli.config.compose import options_of
from metarl_cli.config.sources import groups_of
from metarl_cli.core.plugins import conf_file

FLAGS = """\
-m          a sweep: every combination of `seed=0,1,2 algo=maml,rl2`
--cfg job   the configuration as YAML, nothing is run
--hydra-help   all flags"""
RUN_SETTINGS = (
    "Every setting of the run can be changed as well, for instance env.tasks.num_test=100; "
    "config.yaml in its folder has them all."
)


def show(
    config_name: str, settings: Sequence[str], *, schema: type, changes_run: bool = False
) -> int:
    """Print the page of a command as it would run with these settings; return the exit code.

    Args:
        config_name: the primary config in `conf/`.
        settings: as typed.
        schema: dataclass of the primary config's fixed keys.
        changes_run: whether other keys are settings of an earlier run.
    """
    explained = explain_settings(config_name, settings, schema=schema)
    lines = [paragraph(_about(config_name)), ""]
    if groups := _options(config_name):
        lines.append("Groups: one option each; `metarl list algo=maml` tells what one sets")
        lines += [options_line(group, options) for group, options in groups.items()]
        lines.append("")
    lines.append("Settings, as they stand now; key=value changes one")
    lines += settings_lines(item for item in _of_command(explained, changes_run=changes_run))
    if changes_run:
        lines += ["", paragraph(RUN_SETTINGS)]
    lines += ["", "Flags", *FLAGS.splitlines()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _about(config_name: str) -> str:
    file = conf_file(f"{config_name}.yaml")
    return header_of(file).partition("\n\n")[0] if file else ""


def _options(config_name: str) -> dict[str, list[str]]:
    """Return the options of each group; those in sub-folders (`experiment/maml`) by folder."""
    found: dict[str, list[str]] = defaultdict(list)
    for group in sorted(groups_of(config_name)):
        for option in options_of(group):
            folder, _, name = f"{group}/{option}".rpartition("/")
            found[folder].append(name)
    return found


def _of_command(settings: Sequence[Setting], *, changes_run: bool) -> list[Setting]:
    """Leave out what the command line fills by itself."""
    return [item for item in settings if not (changes_run and item.key == "overrides")]
