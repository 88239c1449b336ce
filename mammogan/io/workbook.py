"""Read the rows of the first sheet of an .xlsx workbook, even if its declarations are wrong, as in CMMD's."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from xml.etree import ElementTree

SHEET = re.compile(r"xl/worksheets/sheet\d*\.xml")
STRINGS, STYLES = "xl/sharedStrings.xml", "xl/styles.xml"
DATE_FORMATS = {*range(14, 18), 22, *range(27, 37), *range(50, 59)}
"""Numbers of the built-in formats that show a day."""
OWN_DATE_FORMAT = re.compile(r"d|y", re.I)
NOT_A_DATE = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
"""Parts of a format that are shown as they are, and colours."""
DAY_0 = date(1899, 12, 30)
"""Workbooks count days from here."""


def workbook_rows(path: Path) -> Iterator[Sequence[str]]:
    """Yield each row's cells as text, days as 2015-01-20; ValueError if the file is not a workbook, or if cells
    are merged over several rows. An error and a formula that was never computed are a text that says so.

    Namespaces and the declared size of the sheet are ignored, because they may be wrong.
    """
    try:
        with zipfile.ZipFile(path) as book:
            names = book.namelist()
            strings = _shared_strings(book.read(STRINGS)) if STRINGS in names else []
            days = _styles_of_days(book.read(STYLES)) if STYLES in names else set()
            sheet = ElementTree.fromstring(book.read(min(filter(SHEET.fullmatch, names), key=_number_of)))
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError) as error:
        raise ValueError(f"{path.name} is no .xlsx workbook: {error}") from error
    for merged in _named(sheet, "mergeCell"):
        if len({*re.findall(r"\d+", merged.get("ref", ""))}) > 1:
            raise ValueError(
                f"{path.name}: cells {merged.get('ref')} are merged over several rows, and only the first has their "
                "value; undo the merge, and write the value into every row"
            )
    for row in _named(sheet, "row"):
        cells: dict[int, str] = {}
        for position, cell in enumerate(_named(row, "c")):
            cells[_column(cell.get("r", ""), position)] = _text(cell, strings, days)
        yield [cells.get(column, "") for column in range(max(cells, default=-1) + 1)]


def _number_of(name: str) -> int:
    return int("".join(filter(str.isdigit, name)) or 0)


def _named(parent: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (element for element in parent.iter() if element.tag.rpartition("}")[2] == name)


def _shared_strings(xml: bytes) -> list[str]:
    return [
        "".join(part.text or "" for part in _named(item, "t")) for item in _named(ElementTree.fromstring(xml), "si")
    ]


def _styles_of_days(xml: bytes) -> set[str]:
    """Return the numbers of the cell styles that show a number as a day."""
    styles = ElementTree.fromstring(xml)
    own = {
        format.get("numFmtId", "")
        for format in _named(styles, "numFmt")
        if OWN_DATE_FORMAT.search(NOT_A_DATE.sub("", format.get("formatCode", "")))
    }
    of_days = own | {str(number) for number in DATE_FORMATS}
    cells = next(_named(styles, "cellXfs"), None)
    kinds = _named(cells, "xf") if cells is not None else ()
    return {str(number) for number, kind in enumerate(kinds) if kind.get("numFmtId") in of_days}


def _column(reference: str, position: int) -> int:
    """Return the column of a cell: 0 for 'A7', 27 for 'AB7'; its position in the row if it has no reference."""
    letters = re.match(r"[A-Z]+", reference)
    if not letters:
        return position
    column = 0
    for letter in letters[0]:
        column = 26 * column + ord(letter) - ord("A") + 1
    return column - 1


def _text(cell: ElementTree.Element, strings: Sequence[str], days: set[str]) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return "".join(part.text or "" for part in _named(cell, "t"))
    value = next((part.text or "" for part in _named(cell, "v")), "")
    if kind == "e":  # the bare '#N/A' would be taken for an empty cell
        return f"error {value}"
    if not value and kind != "str" and next(_named(cell, "f"), None) is not None:
        return "a formula without its result"
    if kind == "s" and value:
        return strings[int(value)]
    if kind == "n" and value and cell.get("s") in days:
        return (DAY_0 + timedelta(days=float(value))).isoformat()
    return _integer(value) if kind == "n" else value


def _integer(value: str) -> str:
    """Return a number without exponent if it is an integer, as an identifier may be: workbooks may store 1.2E+17."""
    if not re.fullmatch(r"-?\d+(\.\d+)?E\+?\d+", value, re.I):
        return value
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1 << 53 else value
