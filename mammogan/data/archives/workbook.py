"""Read the rows of the first sheet of an .xlsx workbook, even if its declarations are wrong, as in CMMD's."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

SHEET = re.compile(r"xl/worksheets/sheet\d*\.xml")
STRINGS = "xl/sharedStrings.xml"


def workbook_rows(path: Path) -> Iterator[Sequence[str]]:
    """Yield each row's cells as text; ValueError if the file is not a workbook.

    Namespaces and the declared size of the sheet are ignored, because they may be wrong.
    """
    try:
        with zipfile.ZipFile(path) as book:
            names = book.namelist()
            strings = _shared_strings(book.read(STRINGS)) if STRINGS in names else []
            sheet = ElementTree.fromstring(book.read(min(filter(SHEET.fullmatch, names), key=_number_of)))
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError) as error:
        raise ValueError(f"{path.name} is no .xlsx workbook: {error}") from error
    for row in _named(sheet, "row"):
        cells: dict[int, str] = {}
        for position, cell in enumerate(_named(row, "c")):
            cells[_column(cell.get("r", ""), position)] = _text(cell, strings)
        yield [cells.get(column, "") for column in range(max(cells, default=-1) + 1)]


def _number_of(name: str) -> int:
    return int("".join(filter(str.isdigit, name)) or 0)


def _named(parent: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (element for element in parent.iter() if element.tag.rpartition("}")[2] == name)


def _shared_strings(xml: bytes) -> list[str]:
    return [
        "".join(part.text or "" for part in _named(item, "t")) for item in _named(ElementTree.fromstring(xml), "si")
    ]


def _column(reference: str, position: int) -> int:
    """Return the column of a cell: 0 for 'A7', 27 for 'AB7'; its position in the row if it has no reference."""
    letters = re.match(r"[A-Z]+", reference)
    if not letters:
        return position
    column = 0
    for letter in letters[0]:
        column = 26 * column + ord(letter) - ord("A") + 1
    return column - 1


def _text(cell: ElementTree.Element, strings: Sequence[str]) -> str:
    if cell.get("t") == "inlineStr":
        return "".join(part.text or "" for part in _named(cell, "t"))
    value = next((part.text or "" for part in _named(cell, "v")), "")
    return strings[int(value)] if cell.get("t") == "s" and value else value
