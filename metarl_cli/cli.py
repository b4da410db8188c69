"""`metarl <command> [key=value ...]`: find the command; import nothing heavy before that."""

from __future__ import annotations

import atexit
import errno
import functools
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any, NoReturn

from metarl_cli.command_list import COMMANDS, RESUME, TUNE_REPORT
from metarl_cli.config.aliases import COMMANDS_OF_OTHERS
from metarl_cli.config.arguments import ASKING, rewrite_run_settings, split, split_off_run_settings
from metarl_cli.config.waiting import Waiting
from metarl_cli.core.errors import RunError, UserError
from metarl_cli.core.version import VERSION
from metarl_cli.core.words import one_line, suggest

WRONG_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EISDIR)
HELP = """\
metarl: meta-reinforcement learning from the command line

  metarl <command> [key=value ...]

{commands}

  metarl <command> --help      its groups and settings, each explained
  metarl <command> --cfg job   the configuration it would run with
  metarl train -m seed=0,1,2   a sweep: every combination, side by side

Exit codes: 0 done, 1 the run failed, 2 the request is wrong,
75 stopped and resumable, 130 Ctrl-C.
METARL_DEBUG=1 shows where an error came from.
"""


def run() -> NoReturn:
    """The program `metarl`: do what the command line says and leave the process at once.

    What is registered for the end (W&B's, for one) still runs, and all output is written; only the
    taking apart of the interpreter and of torch, which can take seconds, is left out.
    """
    try:
        code = main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            pass  # the reader has left; what was done is done
        except OSError as error:  # a full disk
            code = code or report(error)
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except (UserError, RunError, OSError) as error:
        return report(error)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not _load("metarl_cli.buffers.memory:says_out_of_memory")(error):
            raise
        return report(RunError(f"out of memory: {one_line(error)}"))


def report(error: Exception) -> int:
    """Tell the user about an error in one line on stderr and return its exit code."""
    if os.environ.get("METARL_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, BrokenPipeError):  # the reader of our output has left: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    text = one_line(error)
    wrong_request = isinstance(error, UserError)
    if isinstance(error, OSError):
        text = f"{error.strerror or text}: {error.filename}" if error.filename else text
        wrong_request = error.errno in WRONG_PLACE
    # Several processes on one machine ask for the same: the first of them says what is wrong
    if not wrong_request or os.environ.get("LOCAL_RANK", "0") == "0":
        sys.stderr.write(f"metarl: {text}\n")
    return 2 if wrong_request else 1


def _dispatch(arguments: list[str]) -> int:
    if any(flag in arguments for flag in ("-sc", "--shell-completion")):
        return _complete(arguments)
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0
    if name == "--version":
        sys.stdout.write(f"metarl {VERSION}\n")
        return 0
    if name not in COMMANDS:
        raise UserError(_unknown_command(name))
    return _run(name, rest)


def _run(name: str, arguments: list[str]) -> int:
    command = COMMANDS[name]
    if name == "train" and any(re.match(r"\+*resume=", argument) for argument in arguments):
        command = RESUME
    if name == "tune" and arguments[:1] == ["report"]:
        command, name, arguments = TUNE_REPORT, "tune report", arguments[1:]
    if command.schema is None:
        return _load(command.target)(arguments)
    completing = "-sc" in arguments or "--shell-completion" in arguments
    flags, settings, others = split(arguments)
    if others and not completing:
        correct = _load("metarl_cli.commands.words.corrections:corrected")
        raise UserError(correct(name, command.config, arguments))
    own_keys = [item.name for item in fields(command.schema)]
    target = functools.partial(_call, command.target)
    if command.starts_runs and not completing:
        settings, of_runs = split_off_run_settings(settings, own_keys)
        target = functools.partial(_call, command.target, of_runs)
    if ASKING.intersection(flags):
        return _load("metarl_cli.commands.help:show")(
            command.config, settings, schema=command.schema, changes_run=command.changes_run
        )
    if command.changes_run and not completing:
        settings = rewrite_run_settings(settings, own_keys)
    waiting = Waiting("" if flags else f"metarl {name}: loading")
    try:
        return _load("metarl_cli.config.run:run_hydra")(
            command.config,
            # argparse, below Hydra, wants all flags on one side of the settings
            [*flags, *settings, *others],
            schema=command.schema,
            command=waiting.until(target),
            report=waiting.until(report),
        )
    finally:
        waiting.end()


def _call(target: str, *arguments: Any) -> int:
    return _load(target)(*arguments)


def _load(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return HELP.format(commands="\n".join(lines))


def _unknown_command(name: str) -> str:
    if "=" in name:
        return f"the first word must be a command, e.g. metarl train {name}"
    if name in COMMANDS_OF_OTHERS:
        return f"there is no command {name}; type: metarl {COMMANDS_OF_OTHERS[name]}"
    hint = suggest(name, COMMANDS) or f" There are {', '.join(COMMANDS)}."
    return f"there is no command {name}.{hint}"


def _complete(arguments: list[str]) -> int:
    """Serve Hydra's shell completion, which knows no subcommands: cut ours out of the line."""
    query = any(argument.startswith("query=") for argument in arguments)
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    if not query:
        return _run("train", arguments)
    typed = words[1] if len(words) > 1 else ""
    if typed not in COMMANDS or (len(words) == 2 and not line.endswith(" ")):
        sys.stdout.write(" ".join(name for name in COMMANDS if name.startswith(typed)) + "\n")
        return 0
    last = "" if line.endswith(" ") else words[-1]
    if COMMANDS[typed].schema is None and "=" not in last:
        choices = [word for word in COMMANDS[typed].words.split() if word.startswith(last)]
        sys.stdout.write(" ".join(choices) + "\n")
        return 0
    line = line.replace(f" {typed}", "", 1)
    os.environ.update(COMP_LINE=line, COMP_POINT=str(len(line)))
    return _run(typed if COMMANDS[typed].schema else "train", arguments)


if __name__ == "__main__":
    run()
