"""The page that says where a line is names files and constants that exist, and lists every file as it is now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import list_files
from conftest import ROOT
from marked_figures import shown

PAGE = ROOT / "docs" / "structure.md"
PACKAGE = ROOT / "mammogan"
CODE = re.compile(r"`([^`]+)`")
NAME = re.compile(r"[A-Za-z_]\w*")


def rows() -> list[str]:
    """The rows of the page's tables, without their heads."""
    tables = PAGE.read_text(encoding="utf-8").partition("## Every file")[0]
    lines = [line for line in tables.splitlines() if line.startswith("|")]
    return [line for n, line in enumerate(lines) if not {"|---|---|", "|---|---|---|"} & {line, *lines[n + 1 : n + 2]}]


def missing(row: str) -> Iterator[str]:
    """What a row names and is not there: a file, a folder, or a name that does not stand in the file before it.

    A file or folder without a path lies where the one before it does.
    """
    folder, text = PACKAGE, ""
    for code in CODE.findall(row):
        if code.endswith((".py", ".js", "/")):
            path = (PACKAGE if "/" in code.rstrip("/") else folder) / code.removeprefix("mammogan/")
            folder = path if path.is_dir() else path.parent
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            if not path.exists():
                yield code
        elif NAME.fullmatch(code) and text and not re.search(rf"\b{code}\b", text):
            yield code


def test_all_files_and_names_of_the_tables_are_there() -> None:
    assert not {row: gone for row in rows() if (gone := list(missing(row)))}


def test_every_row_names_a_file() -> None:
    assert not [row for row in rows() if not CODE.search(row)]


def test_a_row_that_names_what_is_not_there_is_found() -> None:
    row = "| `unheard` | `models/losses.py` (`focal`, `unknown`), `networks.py`, `gone.py` |"
    assert list(missing(row)) == ["unknown", "gone.py"]


def test_every_room_has_a_row() -> None:
    rooms = {folder for path in PACKAGE.rglob("__init__.py") if (folder := path.parent) != PACKAGE}
    named = {PACKAGE / name for name in list_files.ROOM.findall(PAGE.read_text(encoding="utf-8"))}
    assert rooms - named == {PACKAGE / "data", PACKAGE / "data" / "archives" / "datasets"}


def test_the_list_of_files_is_current() -> None:
    expected = list_files.list_of_files(PAGE).strip()
    assert shown(PAGE, list_files.BEGIN) == expected, "run python benchmarks/list_files.py --write"


def test_the_first_sentence_of_a_file_ends_where_the_next_begins(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text('"""Halves of 0.5 (Who et al. 2020, Eq. L3): all\nof them. And this not."""\n')
    (tmp_path / "two.js").write_text("// What is on the screen?\n// More.\n\nexport const a = 1;\n")
    assert list_files.first_sentence(tmp_path / "one.py") == "Halves of 0.5 (Who et al. 2020, Eq. L3): all of them."
    assert list_files.first_sentence(tmp_path / "two.js") == "What is on the screen?"
