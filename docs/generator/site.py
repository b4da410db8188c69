"""A hook of MkDocs: the static site from the pages as they are read on GitHub.

Pages link to pictures, source files and pages that lie outside docs/. Here these become part of the
site: pictures as they are, README.md and its neighbours as pages, source files as pages that show
them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs/"
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
PICTURES = (".png", ".gif", ".jpg", ".svg")
LANGUAGES = {".py": "python", ".yaml": "yaml"}
FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(\]\()([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to and what lies outside docs/."""
    for place, name in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / place).read_text("utf-8")))
    for file in list(files.documentation_pages()):
        for target in links(file.content_string, place_of(file.src_uri)):
            if (uri := uri_of(target)) not in files.src_uris:
                files.append(_added(config, target, uri))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links of a page to where their targets are in the site."""
    here = place_of(page.file.src_uri)

    def relinked(found: re.Match[str]) -> str:
        target = _target(found[2], here)
        if target is None:
            return found[0]
        start = posixpath.dirname(page.file.src_uri) or "."
        return found[1] + posixpath.relpath(uri_of(target), start)

    parts = FENCED.split(markdown)
    return "".join(x if x.startswith("```") else LINK.sub(relinked, x) for x in parts)


def links(markdown: str, here: str) -> Iterator[str]:
    """Yield the files of the repository that a page `here` links to, outside of code."""
    for part in FENCED.split(markdown):
        if not part.startswith("```"):
            for found in LINK.finditer(part):
                if (target := _target(found[2], here)) is not None:
                    yield target


def place_of(uri: str) -> str:
    """Return where in the repository a page of the site is from."""
    return {name: place for place, name in PAGES.items()}.get(uri, DOCS + uri)


def uri_of(place: str) -> str:
    """Return where in the site a file of the repository is."""
    if place in PAGES:
        return PAGES[place]
    if place.startswith(DOCS):
        return place.removeprefix(DOCS)
    return place if place.endswith(PICTURES) else f"source/{place}.md"


def _target(link: str, here: str) -> str | None:
    """Return the file of the repository that a link leads to, if it is one."""
    if ":" in link:
        return None
    place = posixpath.normpath(posixpath.join(posixpath.dirname(here), link))
    return place if (ROOT / place).is_file() else None


def _added(config: MkDocsConfig, place: str, uri: str) -> File:
    if place.endswith(PICTURES):
        return File.generated(config, uri, abs_src_path=str(ROOT / place))
    language = LANGUAGES.get(PurePosixPath(place).suffix, "text")
    text = (ROOT / place).read_text("utf-8")
    page = f"---\nsearch:\n  exclude: true\n---\n# {place}\n\n````{language}\n{text}````\n"
    return File.generated(config, uri, content=page)
