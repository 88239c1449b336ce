"""Reads and writes every table of the package: CSV of any origin, .xlsx workbooks, and the package's own CSV files.

A spreadsheet runs a cell that begins like a formula. Such cells get an apostrophe when they are written, which is taken
away when they are read.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from mammogan.errors import UserError
from mammogan.io.atomic import ZEROS, replaced_atomically
from mammogan.io.workbook import workbook_rows

SUFFIXES = (".csv", ".tsv", ".xlsx")
SEPARATORS = ",;\t"
"""Possible separators of cells: spreadsheets write different ones in different languages. The first line decides."""
DECLARED = re.compile(r'"?sep=(.)"?\s*', re.I)
"""A first line with which a spreadsheet declares the separator."""
FORMULA = r"[ \u00a0]*[=+\-@\uff1d\uff0b\uff0d\uff20]"
NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d*)?(e[+-]?\d+)?\s*", re.I)
"""A cell that begins with a sign, but is a number and no formula."""
RUNNABLE = re.compile(rf"(^|[;\t\r\n])('*{FORMULA})")
"""Where a cell begins like a formula, also within it where a spreadsheet of another language begins a cell."""
NEUTRALISED = re.compile(rf"(^|[;\t\r\n])'('*{FORMULA})")
WHOLE = "utf-8-sig"
CHUNK = 1 << 20


class NotText(UserError):
    """The bytes of a table are no text of the encoding in which it is read."""


@dataclass(frozen=True)
class Line:
    """The cells of one row, and the line of the file in which it begins, as a text editor counts lines."""

    number: int
    cells: Sequence[str]


def read_lines(path: Path, encoding: str = "") -> Iterator[Line]:
    """Yield the header and then each row of a table, blank lines left out; separator and ``encoding`` are found out.

    Empty cells beyond the header's columns are dropped. Raises UserError, which names the line, for a row with more
    cells than columns (a comma that is not in quotes shifts the cells after it), for a quote left open, for bytes that
    are no text of the file's encoding, and for an .xlsx file that is no workbook. Raises OSError.
    """
    lines = _workbook_lines(path) if path.suffix.lower() == ".xlsx" else _csv_lines(path, encoding or encoding_of(path))
    columns = 0
    for line in lines:
        columns = columns or len(line.cells)
        cells = [unescape_formula(cell) for cell in _trimmed(line.cells, columns)]
        yield Line(line.number, cells)


def surplus(line: Line, columns: int) -> int:
    """Return how many cells a row has beyond the ``columns`` of the header."""
    return max(0, len(line.cells) - columns)


def encoding_of(path: Path) -> str:
    """Find out the encoding: UTF-8 with or without a byte order mark, UTF-16, else cp1252 (Western spreadsheets)."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open(path, "rb") as file:
        chunk = file.read(CHUNK)
        if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        try:
            while chunk:
                decoder.decode(chunk)
                chunk = file.read(CHUNK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return WHOLE


def read_own_csv(path: Path) -> list[dict[str, str]]:
    """Read a table that ``write`` wrote: a dict for each row. Raises OSError, or ValueError if it is damaged."""
    try:
        header, *rows = [line.cells for line in read_lines(path, WHOLE)]
    except UserError as error:
        raise ValueError(str(error)) from error
    if any(len(cells) != len(header) for cells in rows):
        raise ValueError(f"{path.name}: a row has not as many cells as the header")
    return [dict(zip(header, cells, strict=True)) for cells in rows]


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], mode: int | None = None) -> None:
    """Write a CSV file, UTF-8, complete or not at all; ``mode`` is its file mode, such as atomic.PRIVATE.

    Cells that a spreadsheet would run are neutralised. What is not valid UTF-8, as in file names, is written escaped.
    """
    with (
        replaced_atomically(path, mode) as own,
        open(own, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([escape_formula(cell) for cell in row] for row in rows)


def escape_formula(cell: object) -> object:
    """Return the cell so that no spreadsheet runs it; numbers and all other cells unchanged."""
    return cell if not isinstance(cell, str) or NUMBER.fullmatch(cell) else RUNNABLE.sub(r"\1'\2", cell)


def unescape_formula(cell: str) -> str:
    """Return the cell as it was before ``escape_formula``."""
    return NEUTRALISED.sub(r"\1\2", cell)


def row_of(header: Sequence[str], line: Line) -> dict[str, str]:
    """Return a row by column name, without the spaces around its cells; missing cells are empty.

    Raises UserError if two columns of one name have different cells.
    """
    row: dict[str, str] = {}
    for name, cell in zip_longest(header, line.cells[: len(header)], fillvalue=""):
        if row.setdefault(name, cell.strip()) != cell.strip() and name:
            raise UserError(f"line {line.number}: column {name} is there twice and differs; which one counts?")
    return row


def _workbook_lines(path: Path) -> Iterator[Line]:
    return (Line(number, cells) for number, cells in enumerate(workbook_rows(path), 1) if any(cells) or number == 1)


def _csv_lines(path: Path, encoding: str) -> Iterator[Line]:
    begins = 1
    with open(path, newline="", encoding=encoding) as file:
        try:
            first, declared = file.readline(), ""
            if first and not first.strip("\0"):
                raise UserError(f"table {path.name} {ZEROS}")
            if match := DECLARED.fullmatch(first):
                declared, first, begins = match[1], file.readline(), 2
            else:
                file.seek(0)
            delimiter = declared or max(SEPARATORS, key=first.count)
            before = begins - 1
            reader = csv.reader(_again(first, file) if declared else file, delimiter=delimiter, strict=True)
            for cells in reader:
                if cells:  # not a blank line
                    yield Line(begins, cells)
                begins = before + reader.line_num + 1  # a cell in quotes can hold line breaks
        except csv.Error as error:
            raise UserError(f"table {path.name}: line {begins}: {error}; is a quote left open?") from None
        except UnicodeDecodeError:
            raise NotText(
                f"table {path.name}: after line {begins}: bytes that are no text; save the table as 'CSV UTF-8'"
            ) from None


def _again(first: str, rest: Iterable[str]) -> Iterator[str]:
    """Yield a line that was read already, then the rest."""
    yield first
    yield from rest


def _trimmed(cells: Sequence[str], columns: int) -> Sequence[str]:
    """Drop the empty cells beyond the header's columns."""
    end = len(cells)
    while end > columns and not cells[end - 1].strip():
        end -= 1
    return cells[:end]
