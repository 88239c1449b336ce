"""Read tables of any origin: any separator, any encoding, column names with spaces, underscores and capitals."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.data.archives.workbook import workbook_rows
from mammogan.errors import UserError

SUFFIXES = (".csv", ".tsv", ".xlsx")
SEPARATORS = (",", ";", "\t")
NOTHING = ("", "nan", "null", "none", "n/a", "na")


@dataclass(frozen=True)
class Table:
    """The path of a table and its column names as ``plain`` writes them."""

    path: Path
    columns: frozenset[str]

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield each row by plain column name; spaces around cells are removed, words such as 'nan' become empty."""
        lines = _lines(self.path)
        header = [plain(name) for name in next(lines)]
        for cells in lines:
            if any(cells):
                padded = [*cells, *[""] * (len(header) - len(cells))]
                yield {name: known(cell) for name, cell in zip(header, padded, strict=False) if name}


def open_table(path: Path) -> Table | None:
    """Read the header of a table; None if the file is not a table."""
    try:
        header = next(_lines(path), [])
    except (OSError, ValueError, csv.Error):
        return None
    return Table(path, frozenset(filter(None, map(plain, header))))


def plain(name: str) -> str:
    """Normalise a column name: 'breast density', 'Breast_Density ' and 'BREAST-DENSITY' become breast_density."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def known(cell: str) -> str:
    """Return the cell without surrounding spaces; empty if it is a word for 'no value', such as 'nan' or 'none'."""
    cell = cell.strip()
    return "" if cell.lower() in NOTHING else cell


def number(cell: str) -> int | None:
    """Read an integer: '1', '1.0' and ' 1 ' give 1; None if the cell is not an integer."""
    match = re.fullmatch(r"(-?\d+)(\.0*)?", cell.strip())
    return int(match[1]) if match else None


def density_of(cell: str) -> str:
    """Read the BI-RADS density, A to D, from 'B', '2', '2.0' or 'DENSITY B'; empty for anything else."""
    last = cell.upper().split()[-1] if cell.split() else ""
    last = {1: "A", 2: "B", 3: "C", 4: "D"}.get(number(last) or 0, last)
    return last if last in ("A", "B", "C", "D") else ""


def tail(path: str, parts: int) -> str:
    """Return the last ``parts`` parts of a path in lower case; the path may have slashes or backslashes."""
    return "/".join(re.split(r"[\\/]+", path.strip())[-parts:]).lower()


def cell_of(row: Mapping[str, str], *names: str) -> str:
    """Return the first non-empty cell among the columns ``names``, or an empty string."""
    return next((row[name] for name in names if row.get(name)), "")


def _lines(path: Path) -> Iterator[Sequence[str]]:
    if path.suffix.lower() == ".xlsx":
        yield from workbook_rows(path)
        return
    encoding = _encoding(path)
    with open(path, newline="", encoding=encoding, errors="replace") as file:
        first = file.readline()
        file.seek(0)
        try:
            yield from csv.reader(file, delimiter=max(SEPARATORS, key=first.count))
        except csv.Error as error:
            raise UserError(f"table {path.name}: cannot be read as CSV: {error}") from None


def _encoding(path: Path) -> str:
    """Guess the encoding: UTF-8 with or without a byte order mark, UTF-16, else cp1252 (Western spreadsheets)."""
    with open(path, "rb") as file:
        start = file.read(1 << 16)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        start[: start.rfind(b"\n") + 1 or None].decode("utf-8-sig")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"
