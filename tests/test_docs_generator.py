"""What docs/generate.py pulls into pages is what it says, and what is not there is an error."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from generator.code import code, differences, lines_of
from generator.sections import PageError, renewed
from generator.settings import parted

from metarl_cli.config.compose import options_of

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGE = DOCS / "algorithms" / "maml.md"
LOADED = re.compile(r"<(?:script|img|link)\b[^>]*\b(?:src|href)=\"?(https?:[^\"\s>]*)")


def test_lines_of_a_method_are_without_docstring_at_the_left_margin() -> None:
    path = "metarl_cli/algorithms/maml/inner_loop.py"
    assert lines_of(path, "InnerStep.adapted") == [
        "@property",
        "def adapted(self) -> Tensor:",
        "    return self.parameters.detach() - self.step_size * self.gradient.detach()",
    ]


@pytest.mark.parametrize(
    "what",
    [
        "metarl_cli/functional/nothing.py:surrogate_loss",
        "metarl_cli/functional/policy_gradient.py:nothing",
        "metarl_cli/functional/policy_gradient.py:Evaluation",  # no function
        "metarl_cli/algorithms/maml/maml.py:MAML.nothing",
    ],
)
def test_name_that_is_gone_is_an_error_that_names_it(what: str) -> None:
    with pytest.raises(PageError, match=what.partition(":")[0]):
        code(what, PAGE)


def test_differences_are_those_of_the_docstring_with_nothing_taken_for_emphasis() -> None:
    text = differences("metarl_cli/algorithms/maml/maml.py", PAGE)
    assert text.startswith("- The Fisher-vector products")
    assert "(`fisher_fraction`)" in text
    with pytest.raises(PageError, match="Differences"):
        differences("metarl_cli/functional/returns.py", PAGE)


def test_source_of_a_value_is_parted_from_its_meaning() -> None:
    assert parted("tasks per step (paper: 5)") == ("tasks per step", "paper: 5")
    assert parted("gamma; the paper's code") == ("gamma", "the paper's code")
    assert parted("factor (a number)") == ("factor (a number)", "")
    assert parted("the paper's code") == ("the paper's code", "")


def test_section_of_unknown_kind_is_an_error() -> None:
    with pytest.raises(PageError, match="nonsense"):
        renewed("<!-- nonsense: maml -->\n<!-- end -->\n", PAGE)


def test_text_around_sections_stays() -> None:
    page = "above\n<!-- runs: algo=nothing -->\nold\n<!-- end -->\nbelow\n"
    assert renewed(page, PAGE) == page.replace("old", "There is no reference run yet.")


def test_every_algorithm_has_a_page_and_every_environment_stands_on_one() -> None:
    assert {page.stem for page in (DOCS / "algorithms").glob("*.md")} == set(options_of("algo"))
    pages = [page.read_text("utf-8") for page in (DOCS / "environments").glob("*.md")]
    named = re.findall(r"<!-- facts: (.*) -->", "\n".join(pages))
    assert sorted(",".join(named).split(",")) == sorted(options_of("env"))


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    for page in DOCS.rglob("*.md"):
        assert f": {page.relative_to(DOCS).as_posix()}\n" in navigation


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("material"), reason="the site needs pip install -e '.[docs]'"
)
def test_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {page: page.read_text("utf-8") for page in tmp_path.rglob("*.html")}
    assert {"index.html", "results.html"} <= {page.name for page in pages}
    for page, text in pages.items():
        assert not LOADED.findall(text)
        for picture in re.findall(r'<img [^>]*src="([^"]+)"', text):
            assert (page.parent / picture).is_file(), picture
