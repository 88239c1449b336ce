"""A table of one's own: which words it may hold, and that a message about the others names nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from archives.miniature import Miniature
from archives.scanning import scanned

from mammogan.config import UserError

Table = Callable[..., Miniature]


@pytest.fixture
def archive(tmp_path: Path) -> Table:
    """An archive of as many mammograms as there are rows, 0.dcm and so on; columns that a row lacks are filled in."""

    def write(*rows: dict[str, str], name: str = "mine.csv") -> Miniature:
        made = Miniature(tmp_path / "archive")
        columns = list(dict.fromkeys(("path", "patient", "label", *(name for row in rows for name in row))))
        lines: list[Sequence[str]] = []
        for number, row in enumerate(rows):
            made.image(f"{number}.dcm", row.get("label", ""), "LR"[number % 2])
            given = {"path": f"{number}.dcm", "patient": f"{number // 2}", "label": "negative"} | row
            lines.append([given.get(column, "") for column in columns])
        made.table(name, columns, lines)
        return made

    return write


def refused(made: Miniature, tmp_path: Path) -> str:
    with pytest.raises(UserError) as caught:
        scanned(made.root, tmp_path / "labels.csv")
    assert not (tmp_path / "labels.csv").exists()
    return str(caught.value)


def test_a_cell_that_may_be_a_name_is_not_quoted_and_the_rows_are_counted(archive: Table, tmp_path: Path) -> None:
    words = ("Erika Mustermann", "erika mustermann", "MRN42", "yes", "yes", "negative", "yes")
    said = refused(archive(*({"label": word} for word in words)), tmp_path)
    assert said.startswith("table mine.csv, label: expected positive, malignant, negative, cancer, interval")
    assert said.endswith("; found 'yes' in 3 rows, a text of 16 characters in 2 rows, a text of 5 characters in 1 row")


def test_of_many_unknown_words_the_most_frequent_are_told(archive: Table, tmp_path: Path) -> None:
    words = [*(word for word in ("yes", "no", "L", "R", "CC") for _ in range(2)), "MLO", "true", "somebody"]
    said = refused(archive(*({"label": word} for word in words)), tmp_path)
    assert said.endswith("'L' in 2 rows, 'R' in 2 rows, 'CC' in 2 rows, others in 3 rows")
