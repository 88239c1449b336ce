"""Words in the place of codes: the error of the table's reader names the command that understands them."""

from __future__ import annotations

from pathlib import Path

import pytest
from archives.scanning import scanned
from dicoms import COLUMNS, breast, write_mammogram, write_table

from mammogan.data.cohort.table import TableError, read_table

RIGHT = {"path": "a.dcm", "patient": "x", "laterality": "L", "view": "CC", "label": "negative"}
MEANT = {
    "laterality": {"left": "L", "l": "L", "RIGHT": "R"},
    "view": {"cc": "CC", "mlo": "MLO", "LCC": "CC", "lmlo": "MLO"},
    "label": {"NEGATIVE": "negative", "normal": "negative", "Malignant": "positive", "cancer": "positive"},
    "split": {"training": "train", "val": "validation", "dev": "validation", "Test": "test"},
    "density": {"b": "B", "4": "D"},
}
QUOTABLE_WORDS = [(column, word, code) for column, words in MEANT.items() for word, code in words.items()]


def written(folder: Path, column: str, cell: str) -> Path:
    write_mammogram(folder / "a.dcm", breast())
    row = RIGHT | {column: cell}
    return write_table(folder / "mine.csv", [tuple(row.values())], tuple(row))


@pytest.mark.parametrize(("column", "word", "code"), QUOTABLE_WORDS)
def test_the_command_that_an_error_ends_with_writes_the_code_that_was_meant(
    column: str, word: str, code: str, tmp_path: Path
) -> None:
    table = written(tmp_path, column, word)
    with pytest.raises(TableError) as caught:
        read_table(table)
    *_, last = str(caught.value).splitlines()
    command = f"mammogan scan FOLDER --dataset csv --tables {table} --out labels.csv"
    assert last == f"  such words are read by {command}"
    out = tmp_path / "labels.csv"
    scanned(tmp_path, out, dataset="csv", tables=[table])
    [row] = read_table(out)
    assert getattr(row, column) == code


@pytest.mark.parametrize(
    ("column", "cell"), [("label", "1"), ("label", "Erika"), ("laterality", "both"), ("split", "holdout"), ("view", "")]
)
def test_what_a_scan_does_not_read_either_has_no_such_line(column: str, cell: str, tmp_path: Path) -> None:
    with pytest.raises(TableError) as caught:
        read_table(written(tmp_path, column, cell))
    assert "mammogan scan" not in str(caught.value) and "Erika" not in str(caught.value)


def test_the_line_is_the_last_and_its_output_is_not_the_table_itself(tmp_path: Path) -> None:
    rows = [(f"gone/{n}.dcm", "x", "left", "CC", "benign") for n in range(12)]
    with pytest.raises(TableError) as caught:
        read_table(write_table(tmp_path / "labels.csv", rows, COLUMNS))
    *_, disk, last = str(caught.value).splitlines()
    assert "is their disk mounted" in disk and last.endswith(f"--tables {tmp_path / 'labels.csv'} --out cohort.csv")
