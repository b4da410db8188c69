"""The generated parts of a page, each between `<!-- KIND: WHAT -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from generator.code import code, differences
from generator.environments import facts
from generator.errors import PageError
from generator.lists import options
from generator.runs import pictures, runs
from generator.settings import settings

__all__ = ["PageError", "renewed"]

SECTION = re.compile(r"(<!-- (\w+): (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
KINDS: dict[str, Callable[[str, Path], str]] = {
    "list": options,  # env, algo: what there is in a group of conf/
    "runs": runs,  # all, or algo=NAME, env=NAME,NAME: what reference runs measured
    "pictures": pictures,  # algo=NAME, env=NAME,NAME: their curves
    "code": code,  # PATH:NAME or PATH:CLASS.NAME: the lines of a function
    "differences": differences,  # PATH: what a module's docstring says under that title
    "settings": settings,  # NAME: what an algorithm can be told
    "facts": facts,  # NAME,NAME: what is known of environments
}


def renewed(text: str, page: Path) -> str:
    """Return the text of a page with all generated parts written anew.

    Args:
        text: what stands in it.
        page: where it is, for links.

    Raises:
        PageError: if it asks for something that is not there.
    """

    def section(found: re.Match[str]) -> str:
        begin, kind, what, end = found.groups()
        if kind not in KINDS:
            raise PageError(f"<!-- {kind}: ... -->: there are {', '.join(KINDS)}")
        return begin + KINDS[kind](what, page) + end

    return SECTION.sub(section, text)
