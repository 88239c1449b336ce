"""The documentation lists all of its pages, its links lead somewhere, and the commands that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

import mammogan
from mammogan.cli.main import COMMANDS

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|^    .*?$|`[^`]+`", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?<![\w./-])(?<!from )mammogan +([a-z][a-z-]*)")


def by_name(page: Path) -> str:
    return page.name


def links(page: Path) -> list[str]:
    """Targets of the page's links and pictures, without anchors and addresses of the web."""
    found = (target.partition("#")[0] for target in LINK.findall(page.read_text(encoding="utf-8")))
    return [target for target in found if target and "://" not in target]


def commands(text: str) -> list[str]:
    """Names that follow the word mammogan in code: blocks, indented lines and spans."""
    return [name for code in CODE.findall(text) for name in COMMAND.findall(code)]


def test_every_page_is_listed_in_the_index() -> None:
    listed = {target for target in links(ROOT / "docs" / "index.md") if "/" not in target}
    assert listed == {page.name for page in DOCS} - {"index.md"}


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_lead_to_files_of_the_repository(page: Path) -> None:
    missing = [target for target in links(page) if not (page.parent / target).exists()]
    assert not missing, f"{page.name} links to what is not there: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_commands_that_are_named_exist(page: Path) -> None:
    unknown = set(commands(page.read_text(encoding="utf-8"))) - COMMANDS.keys()
    assert not unknown, f"{page.name} names commands that do not exist: {unknown}"


def test_commands_are_found_in_blocks_in_lines_and_in_sentences() -> None:
    text = "`mammogan one --a` and mammogan is\n\n    mammogan two\n\n```\n$ mammogan three && mammogan four\n```\n"
    assert commands(text) == ["one", "two", "three", "four"]
    assert commands("`from mammogan import x`, `pip install mammogan`, `python -m mammogan five`") == ["five"]


def test_the_citation_is_of_this_version_and_of_the_study() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["cff-version"], citation["title"]) == ("1.2.0", "MammoGAN")
    assert (citation["version"], citation["license"]) == (mammogan.__version__, "Apache-2.0")
    assert [reference["doi"] for reference in citation["references"]] == ["10.1038/s41467-021-27577-x"]
