"""The page of a report in a real browser: it works from a file, alone, by mouse and by keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headless import Watched, browser
from made_runs import make_run, make_sweep
from PIL import Image

from metarl_cli.commands.parts.benchmark_runs import panels_of
from metarl_cli.reports.benchmark.page import page
from metarl_cli.reports.benchmark.summary import PanelSummary

pytest.importorskip("plotly", reason="plotly is not installed: extra report")

NASTY = "</script><img src=x onerror=alert(1)>"
CURVE = [(0, -40.0, 0.0), (500, -20.0, 3.0), (1000, -5.0, 6.0)]
MEGABYTE = 1_000_000


def film(path: Path) -> None:
    """Write a GIF of two frames."""
    frames = [Image.new("P", (64, 64), color) for color in (1, 2)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 30 runs: ten seeds of three methods, of which one has a nasty name."""
    home = tmp_path_factory.mktemp("runs")
    for level, algo in enumerate(("maml", "rl2", "pearl")):
        scores = [[[-40.0] * 6, [level * 10.0 - 30 + seed / 10] * 6] for seed in range(10)]
        make_sweep(home / algo, scores, curves=[CURVE] * 10, algo=algo)
    film(home / "maml/s0/film.gif")
    (home / "pearl/s9").rename(home / "pearl" / NASTY.replace("/", "\N{DIVISION SLASH}"))
    other = make_run(home / "other", [1.0] * 6, test_seed=3, settings=("env.horizon=7",))
    panels = panels_of(
        [str(home / "maml"), str(home / "rl2"), str(home / "pearl"), str(other)], split=True
    )
    path = home / "report.html"
    path.write_text(page([PanelSummary(panel, 0.9) for panel in panels]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture
def watched(chromium: Any, report: Path) -> Iterator[Watched]:
    opened = Watched(chromium, report)
    yield opened
    opened.page.close()


def test_page_of_thirty_runs_is_one_small_file_whose_data_hold_no_tag(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert len(text.encode()) < 6 * MEGABYTE
    assert "<img src=x" not in text
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "http:" not in own and "https:" not in own


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_all_is_drawn_from_the_file_alone_and_fits(
    chromium: Any, report: Path, width: int, scheme: str
) -> None:
    watched = Watched(chromium, report, width=width, scheme=scheme)
    assert watched.drawn() == 5  # three plots of one panel, two of the other
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
    paper = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")
    assert watched.requests == [report.as_uri()]
    assert watched.complaints == []
    watched.page.close()


def test_heading_sorts_the_table_by_value_both_ways(watched: Watched) -> None:
    heading = watched.page.get_by_role("button", name="return, best on validation")
    heading.click()
    rising = watched.column(3)
    assert [float(text.split()[0]) for text in rising] == sorted(
        float(x.split()[0]) for x in rising
    )
    heading.press("Enter")
    assert watched.column(3) == rising[::-1]
    assert watched.page.locator("th[aria-sort=descending]").count() == 1


def test_methods_are_switched_off_and_on(watched: Watched) -> None:
    watched.drawn()
    assert watched.lines() == 3
    box = watched.page.get_by_role("checkbox", name="rl2")
    box.press("Space")
    assert watched.lines() == 2
    watched.page.get_by_role("button", name="Hide all").click()
    assert watched.lines() == 0
    watched.page.get_by_role("button", name="Show all").click()
    assert watched.lines() == 3 and box.is_checked()


def test_pointer_over_a_plot_shows_values_with_their_interval(watched: Watched) -> None:
    watched.drawn()
    place = watched.page.locator(".plot").nth(1)
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    watched.page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.5)
    told = place.locator(".hoverlayer")
    told.locator("text").first.wait_for()
    assert "rl2 (10)" in told.text_content() and "over seeds and tasks" in told.text_content()


def test_run_opens_with_settings_and_film_and_closes_by_keyboard(watched: Watched) -> None:
    watched.page.get_by_role("button", name="Show the settings of s0 (maml, seed 0)").first.press(
        "Enter"
    )
    dialog = watched.page.get_by_role("dialog")
    assert "env.horizon" in dialog.inner_text()
    picture = dialog.get_by_role("img", name="Film of s0 (maml, seed 0)")
    assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 64
    watched.page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert watched.complaints == []


def test_differences_between_two_runs_are_listed(watched: Watched) -> None:
    watched.page.get_by_label("beside").select_option(label="other (maml, seed 0)")
    told = watched.page.locator("#differences").inner_text()
    assert "env.horizon" in told
    watched.page.get_by_label("Settings of", exact=True).select_option(label="other (maml, seed 0)")
    assert "No setting differs." in watched.page.get_by_role("status").inner_text()


def test_every_control_has_a_name_and_is_reached_by_tab(watched: Watched) -> None:
    controls = watched.page.locator("main button, main input, main select")
    tree = watched.page.locator("main").aria_snapshot()
    assert not re.search(r"- (button|checkbox|combobox)(:|$)", tree, flags=re.MULTILINE)
    reached = 0
    for _ in range(2 * controls.count()):
        watched.page.keyboard.press("Tab")
        reached += watched.page.evaluate("document.activeElement.matches('button, input, select')")
    assert reached >= controls.count()
    watched.drawn()
    labels = watched.page.locator(".plot").evaluate_all("(all) => all.map((x) => x.ariaLabel)")
    assert all("point_nav" in label for label in labels)
