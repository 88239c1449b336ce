"""Read the rows of the first sheet of an .xlsx workbook, even if its declarations are wrong, as in CMMD's."""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

from mammogan.errors import UserError

SHEET = re.compile(r"xl/worksheets/sheet\d*\.xml")
STRINGS, STYLES, BOOK = "xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml"
DATE_FORMATS = {*range(14, 18), 22, *range(27, 37), *range(50, 59)}
"""Numbers of the built-in formats that show a day."""
OWN_DATE_FORMAT = re.compile(r"d|y", re.I)
NOT_A_DATE = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
"""Parts of a format that are shown as they are, and colours."""
DAY_0, DAY_0_OF_1904 = date(1899, 12, 31), date(1904, 1, 1)
"""Workbooks count days from the first, and from the second if they say so, as old ones of a Macintosh do."""
NO_DAY = 60
"""29 February 1900, which workbooks count although there was none."""
ESCAPED = re.compile(r"(?:_x(?!0000)[0-9A-Fa-f]{4}_)+")
"""Characters as workbooks write those that XML cannot hold: _x000D_; the text _x000D_ itself is _x005F_x000D_. Nothing
shows, or can name a file with, the character of number 0."""
NOT_THE_TEXT = ("rPh", "extLst")
"""Parts of a cell that have texts of their own: how Japanese and Chinese characters are read, and what programs add."""

LAST_COLUMN = "XFD"
"""The last column that a workbook can have."""
ENCRYPTED = 1
"""The bit of a zip member's flags that says so."""
OLE = bytes.fromhex("d0cf11e0a1b11ae1")
"""How old .xls workbooks begin, and new ones that have a password."""
COPY = "Copy the file again from where it came"
SAVE = "Save it as .xlsx without a password, or as CSV UTF-8"


@dataclass(frozen=True)
class _Shared:
    """What all sheets of a workbook share."""

    texts: Sequence[str] = ()
    """The texts to which cells refer by number."""
    styles_of_days: frozenset[str] = frozenset()
    """The numbers of the cell styles that show a number as a day."""
    from_1904: bool = False

    @classmethod
    def of(cls, book: zipfile.ZipFile) -> _Shared:
        parts = {
            name: ElementTree.fromstring(_read(book, name))
            for name in (STRINGS, STYLES, BOOK)
            if name in book.namelist()
        }
        return cls(
            [_written(item) for item in _named(parts[STRINGS], "si")] if STRINGS in parts else (),
            _styles_of_days(parts[STYLES]) if STYLES in parts else frozenset(),
            BOOK in parts and any(map(_counts_from_1904, _named(parts[BOOK], "workbookPr"))),
        )


def workbook_rows(path: Path) -> Iterator[Sequence[str]]:
    """Yield each row's cells as text, days as 2015-01-20; UserError if the file is not a workbook, is damaged or
    encrypted, or if cells are merged over several rows. An error and a formula that was never computed are a text that
    says so.

    All rows are read before the first is given. Namespaces and the declared size of the sheet are ignored, because they
    may be wrong.
    """
    sheet, shared = _opened(path)
    for merged in _named(sheet, "mergeCell"):
        if len({*re.findall(r"\d+", merged.get("ref", ""))}) > 1:
            raise UserError(
                f"{path.name}: cells {merged.get('ref')} are merged over several rows, and only the first has their "
                "value; undo the merge, and write the value into every row"
            )
    rows: list[dict[int, str]] = []
    for number, row in enumerate(_named(sheet, "row"), 1):
        try:
            rows.append(
                {
                    _column(cell.get("r", ""), position): _text(cell, shared)
                    for position, cell in enumerate(_named(row, "c"))
                }
            )
        except ValueError as error:
            raise UserError(f"{path.name} is damaged: row {row.get('r') or number} has {error}. {COPY}") from None
    for cells in rows:
        yield [cells.get(column, "") for column in range(max(cells, default=-1) + 1)]


def _opened(path: Path) -> tuple[ElementTree.Element, _Shared]:
    """Return the first sheet, and what all sheets share. Raise UserError with the reason if they cannot be read."""
    try:
        with zipfile.ZipFile(path) as book:
            if not (sheets := [*filter(SHEET.fullmatch, book.namelist())]):
                raise UserError(f"{path.name} is no .xlsx workbook: it has no sheet")
            shared = _Shared.of(book)
            sheet = ElementTree.fromstring(_read(book, min(sheets, key=_number_of)))
            _refuse_divided(path, _first_rows(book, shared))
            return sheet, shared
    except UserError:
        raise
    except (zipfile.BadZipFile, ElementTree.ParseError, LookupError, ValueError) as error:
        with open(path, "rb") as file:
            if file.read(len(OLE)) == OLE:
                raise UserError(f"{path.name} has a password, or is an old .xls workbook. {SAVE}") from error
        raise UserError(f"{path.name} is no .xlsx workbook: {error}") from error


def _read(book: zipfile.ZipFile, name: str) -> bytes:
    """Return a member of a workbook. Raise UserError if it is encrypted or damaged: zipfile has many errors for it."""
    where = f"{Path(book.filename or '').name}: {name}"
    if book.getinfo(name).flag_bits & ENCRYPTED:
        raise UserError(f"{where} is encrypted. {SAVE}")
    try:
        return book.read(name)
    except NotImplementedError as error:
        raise UserError(f"{where} is packed in a way that is not read here ({error}). {SAVE}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, struct.error, lzma.LZMAError) as error:
        if getattr(error, "errno", None):
            raise  # a lost disk
        raise UserError(f"{where} is damaged ({str(error) or type(error).__name__}). {COPY}") from error


def other_sheets(path: Path) -> int:
    """Return how many sheets of a workbook besides the first one have cells; they are not read."""
    with zipfile.ZipFile(path) as book:
        return sum(map(bool, _first_rows(book, _Shared.of(book))[1:]))


def _refuse_divided(path: Path, first_rows: Sequence[set[str]]) -> None:
    """Raise UserError if another sheet begins with most of the first one's column names: the table goes on there."""
    first, *others = first_rows
    if more := sum(2 * len(first & names) > len(first) for names in others):
        raise UserError(
            f"{path.name}: expected one sheet with these columns, found {more + 1}, of which only one would be read; "
            "save the sheet that you mean as CSV, or all their rows on one sheet, and remove the others"
        )


def _first_rows(book: zipfile.ZipFile, shared: _Shared) -> list[set[str]]:
    """Return the different texts in the first row with cells of each sheet, in small letters; the first sheet first."""
    sheets = sorted(filter(SHEET.fullmatch, book.namelist()), key=_number_of)
    return [_first_row(book, sheet, shared) for sheet in sheets] if len(sheets) > 1 else [set()]


def _first_row(book: zipfile.ZipFile, sheet: str, shared: _Shared) -> set[str]:
    for _, element in ElementTree.iterparse(BytesIO(_read(book, sheet))):
        if _name(element) == "row":
            if texts := {_text(cell, shared).strip().lower() for cell in _named(element, "c")} - {""}:
                return texts
            element.clear()
    return set()


def _number_of(name: str) -> int:
    return int("".join(filter(str.isdigit, name)) or 0)


def _named(parent: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (element for element in parent.iter() if _name(element) == name)


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _written(part: ElementTree.Element) -> str:
    """Return the text of a cell, of all its runs of letters."""
    if _name(part) == "t":
        return _unescaped(part.text or "")
    return "".join(_written(inner) for inner in part if _name(inner) not in NOT_THE_TEXT)


def _unescaped(text: str) -> str:
    def meant(match: re.Match[str]) -> str:
        codes = bytes.fromhex("".join(re.findall("_x(....)_", match[0])))
        return codes.decode("utf-16-be", errors="replace")

    return ESCAPED.sub(meant, text)


def _counts_from_1904(properties: ElementTree.Element) -> bool:
    return properties.get("date1904", "").strip().lower() in ("1", "true", "on")


def _styles_of_days(styles: ElementTree.Element) -> frozenset[str]:
    own = {
        format.get("numFmtId", "")
        for format in _named(styles, "numFmt")
        if OWN_DATE_FORMAT.search(NOT_A_DATE.sub("", format.get("formatCode", "")))
    }
    of_days = own | {str(number) for number in DATE_FORMATS}
    cells = next(_named(styles, "cellXfs"), None)
    kinds = _named(cells, "xf") if cells is not None else ()
    return frozenset(str(number) for number, kind in enumerate(kinds) if kind.get("numFmtId") in of_days)


def _column(reference: str, position: int) -> int:
    """Return the column of a cell: 0 for 'A7', 27 for 'AB7'; its position in the row if it has no reference. Raise
    ValueError for one that no workbook has: all columns before it would be made."""
    letters = re.match(r"[A-Z]+", reference)
    if not letters:
        return position
    if (len(letters[0]), letters[0]) > (len(LAST_COLUMN), LAST_COLUMN):
        raise ValueError(f"a cell beyond {LAST_COLUMN}, the last column")
    column = 0
    for letter in letters[0]:
        column = 26 * column + ord(letter) - ord("A") + 1
    return column - 1


def _text(cell: ElementTree.Element, shared: _Shared) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return _written(cell)
    value = next((part.text or "" for part in _named(cell, "v")), "")
    if kind == "e":  # the bare '#N/A' would be taken for an empty cell
        return f"error {value}"
    if not value and kind != "str" and next(_named(cell, "f"), None) is not None:
        return "a formula without its result"
    if kind == "s" and value:
        if not (value.isdecimal() and int(value) < len(shared.texts)):
            raise ValueError("a cell whose text is not in the workbook's list of texts")
        return shared.texts[int(value)]
    if kind == "n" and value and cell.get("s") in shared.styles_of_days:
        return _day(value, shared.from_1904)
    return _integer(value) if kind == "n" else _unescaped(value)


def _day(value: str, from_1904: bool) -> str:
    """Return the day that a number is shown as, and the number itself if there is no such day."""
    try:
        number = float(value)
        if from_1904:
            return value if number < 0 else (DAY_0_OF_1904 + timedelta(days=number)).isoformat()
        if number < 1 or int(number) == NO_DAY:
            return value
        return (DAY_0 + timedelta(days=number - (number > NO_DAY))).isoformat()
    except OverflowError:
        return value
    except ValueError:
        raise ValueError("a day that is no number") from None


def _integer(value: str) -> str:
    """Return a number without exponent if it is an integer, as an identifier may be: workbooks may store 1.2E+17."""
    if not re.fullmatch(r"-?\d+(\.\d+)?E\+?\d+", value, re.I):
        return value
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1 << 53 else value
