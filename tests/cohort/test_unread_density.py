"""A breast density that is not understood is counted and left empty; it never leaves an image out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from archives.scanning import WRITERS, outcome, rows_of, scanned
from test_unread_cells import rewritten

from mammogan.data.archives.selection import Selection
from mammogan.data.archives.tables import Cells

TABLES = {
    "rsna": ("train.csv", "density"),
    "vindr": ("breast-level_annotations.csv", "breast_density"),
    "embed": ("EMBED_OpenData_clinical.csv", "tissueden"),
}
SAID = "the density of {} images that are used is not understood and left empty; no label depends on it: "


def scan_with(
    archive: str, root: Path, out: Path, word: Callable[[str], str]
) -> tuple[dict[str, str], list[str], list[str]]:
    """Scan the miniature of an archive whose densities were changed: outcome, densities of the used, notes on them."""
    made = WRITERS[archive](root)
    name, column = TABLES[archive]

    def change(row: dict[str, str]) -> None:
        held = next(key for key in row if key.lower().replace(" ", "_") == column)
        row[held] = word(row[held])

    rewritten(next(made.root.rglob(name)), change)
    report = scanned(made.root, out, Selection())
    assert outcome(made.root, out) == made.expected
    notes = [line for line in report.lines() if "the density of" in line]
    return made.labels, [row["density"] for row in rows_of(out)], notes


@pytest.mark.parametrize("archive", TABLES)
def test_a_density_that_is_not_understood_is_said_once_and_changes_nothing_else(tmp_path: Path, archive: str) -> None:
    used, densities, notes = scan_with(archive, tmp_path / "a", tmp_path / "out.csv", lambda cell: "fibroglandular")
    assert {*densities} == {""}
    number = len(used)
    assert len(notes) == 1 and TABLES[archive][1] in notes[0] and "a text of 14 characters" in notes[0]
    assert archive == "embed" or SAID.format(number) in notes[0]  # in EMBED, not every breast has a row


@pytest.mark.parametrize("archive", TABLES)
@pytest.mark.parametrize("word", ["", "nan", "B", "2", "2.0", "DENSITY B"])
def test_a_density_that_is_empty_or_understood_needs_no_word(tmp_path: Path, archive: str, word: str) -> None:
    _, densities, notes = scan_with(archive, tmp_path / "a", tmp_path / "out.csv", lambda cell: word)
    assert notes == [] and {*densities} <= {"", "B"}
    assert word in ("", "nan") or "B" in densities


def test_a_density_before_which_the_row_ends_is_not_understood_and_one_without_a_column_is_absent() -> None:
    assert Cells({}).density_fault == ""
    for cut_off, said in ((frozenset({"density"}), "density: an empty cell"), (frozenset[str](), "")):
        row = Cells({}, cut_off=cut_off)
        assert (row.density("density"), row.density_fault, row.fault) == ("", said, "")
