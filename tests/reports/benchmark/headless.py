"""A real browser without a window, for tests of pages; skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium, playwright's own or the system's."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        path = next(filter(None, map(shutil.which, NAMES)), None)
        if not own.exists() and path is None:
            pytest.skip("no Chromium: apt-get install chromium, or playwright install chromium")
        executable = {} if own.exists() else {"executable_path": path}
        started = playwright.chromium.launch(args=["--no-sandbox"], **executable)
        yield started
        started.close()


class Watched:
    """A page in the browser, with all that it asked the network for and complained of."""

    def __init__(
        self, browser: Any, path: Path, *, width: int = 1400, scheme: str = "light"
    ) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append("a dialog"))
        self.page.goto(path.as_uri())

    def drawn(self) -> int:
        """Scroll through the page, so that every plot is drawn, and count plots."""
        for place in self.page.query_selector_all(".plot"):
            place.scroll_into_view_if_needed()
            place.wait_for_selector(".main-svg")
        return len(self.page.query_selector_all(".plot .cartesianlayer"))

    def lines(self, plot: int = 0) -> int:
        """Count the curves that a plot shows, bands left out."""
        traces = self.page.evaluate(
            "(i) => document.querySelectorAll('.plot')[i].data.map((trace) => trace.line.width)",
            plot,
        )
        return sum(width != 0 for width in traces)

    def column(self, index: int) -> list[str]:
        """The texts of a column of the table."""
        return self.page.locator(f"#rows tbody tr td:nth-child({index + 1})").all_inner_texts()
