"""`metarl completion install`: TAB completes commands, groups, options and keys.

The shell asks `metarl -sc query=bash` for what may follow; Hydra knows groups and keys. Starting a
shell costs nothing: the script is a file, and the shell's own file reads it by one line.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.core.files import write_atomically
from metarl_cli.core.words import suggest

ACTIONS = ("install", "uninstall", "show")
USAGE = f"metarl completion {' | '.join(ACTIONS)} [bash | zsh | fish]"
MARK = "# metarl completion"
# In bash, a word ends at = and :, and readline keeps what stands before the last of them.
BASH = """\
_metarl_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" word choices head
    word="${line##*[[:space:]]}"
    choices="$(export COMP_LINE="$line" COMP_POINT="${#line}"
        "${COMP_WORDS[0]}" -sc query=bash 2>/dev/null)"
    COMPREPLY=($(compgen -W "$choices" -- "$word"))
    case "$word" in
        *=*) case "$COMP_WORDBREAKS" in *=*)
            head="${word%"${word##*=}"}"
            COMPREPLY=("${COMPREPLY[@]#"$head"}") ;;
        esac ;;
    esac
    if [ "${#COMPREPLY[@]}" = 1 ]; then
        case "${COMPREPLY[0]}" in *=|*.|*/) ;; *) COMPREPLY[0]+=" " ;; esac
    fi
}
complete -o nospace -o default -F _metarl_completion metarl
"""
ZSH = """\
_metarl_completion() {
    local line="${BUFFER[1,CURSOR]}"
    local -a choices
    choices=(${=$(export COMP_LINE="$line" COMP_POINT="${#line}"
        "${words[1]}" -sc query=bash 2>/dev/null)})
    compadd -S '' -- "${choices[@]}"
}
if ! whence compdef >/dev/null; then autoload -Uz compinit && compinit; fi
compdef _metarl_completion metarl
"""
FISH = """\
function _metarl_completion
    set -lx COMP_LINE (commandline -cp)
    set -lx COMP_POINT (string length -- "$COMP_LINE")
    set -l program (commandline -cpo)[1]
    $program -sc query=fish 2>/dev/null | string split ' '
end
complete -c metarl -f -a '(_metarl_completion)'
"""


class Shell(NamedTuple):
    """A shell: what it runs, where that is kept, and which file of its own reads it."""

    script: str
    file: Callable[[], Path]
    start: Callable[[], Path] | None  # None: it finds the script by itself


SHELLS = {
    "bash": Shell(BASH, lambda: _data() / "completion.bash", lambda: Path.home() / ".bashrc"),
    "zsh": Shell(ZSH, lambda: _data() / "completion.zsh", lambda: _zsh_home() / ".zshrc"),
    "fish": Shell(FISH, lambda: _config() / "fish/completions/metarl.fish", None),
}


def main(arguments: Sequence[str]) -> int:
    """Install, uninstall or show the completion of a shell; installing twice changes nothing."""
    if not arguments or any(word in ("-h", "--help", "help") for word in arguments):
        sys.stdout.write(f"{USAGE}\nThe shell is the one of $SHELL unless it is named.\n")
        return 0
    action, *rest = arguments
    if action not in ACTIONS:
        raise UserError(f"there is no {action}.{suggest(action, ACTIONS)} Type: {USAGE}")
    name = _shell_name(rest)
    shell = SHELLS[name]
    if action == "show":
        sys.stdout.write(shell.script)
    elif action == "install":
        _install(name, shell)
    else:
        _uninstall(name, shell)
    return 0


def _shell_name(words: Sequence[str]) -> str:
    """Return the shell that is named, or else the user's own."""
    if len(words) > 1:
        raise UserError(f"one shell at a time: {USAGE}")
    name = words[0] if words else Path(os.environ.get("SHELL") or "bash").name
    if name not in SHELLS:
        which = "" if words else "your shell is "
        raise UserError(f"{which}{name}: completion is for {', '.join(SHELLS)}; name one of them")
    return name


def _install(name: str, shell: Shell) -> None:
    file = shell.file()
    with writing_into(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, shell.script.encode())
    if shell.start is not None:
        _set_line(shell.start(), f"[ -f {_quoted(file)} ] && . {_quoted(file)}  {MARK}")
    sys.stdout.write(f"TAB completes metarl in new {name} shells; in this one: . {_quoted(file)}\n")


def _uninstall(name: str, shell: Shell) -> None:
    if shell.start is not None:
        _set_line(shell.start(), None)
    shell.file().unlink(missing_ok=True)
    sys.stdout.write(f"new {name} shells no longer complete metarl\n")


def _set_line(file: Path, line: str | None) -> None:
    """Make `line` the only one of ours in a shell's file; None removes it. All else stays."""
    file = file.resolve()  # a link, as people keep such files elsewhere, stays one
    exists = file.exists()
    mode = file.stat().st_mode if exists else 0o644
    before = file.read_bytes().decode(errors="surrogateescape") if exists else ""
    kept = [text for text in before.splitlines() if not text.endswith(MARK)]
    after = "".join(f"{text}\n" for text in [*kept, *([line] if line else [])])
    if after != before:
        write_atomically(file, after.encode(errors="surrogateescape"))
        file.chmod(mode)


def _quoted(file: Path) -> str:
    return shlex.quote(str(file))


def _data() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "metarl"


def _config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _zsh_home() -> Path:
    return Path(os.environ.get("ZDOTDIR") or Path.home())
