"""Tables of an archive: column names with spaces, underscores and capitals, and cells that are read or named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mammogan.data.archives.views import SIDES
from mammogan.data.cohort.identifiers import is_rounded, without_decimals
from mammogan.data.cohort.quoting import quoted
from mammogan.errors import UserError
from mammogan.io.atomic import FOUND, place_of
from mammogan.io.tables import read_lines, row_of, surplus

NOTHING = ("", "nan", "nat", "<na>", "null", "none", "n/a", "na")
"""What programs write where there is no value. Not #N/A, a spreadsheet's failed look-up: there may have been one."""
UNKNOWN_CELL = "unknown_cell"
"""Code of the reason why an image is left out: a cell of its row, or of a row about her, is not understood."""
YES, NO = ("1", "1.0", "true", "yes", "y"), ("0", "0.0", "false", "no", "n")
T = TypeVar("T")


class Cells(dict[str, str]):
    """A row by plain column name. It remembers in ``unread`` which of its cells were not understood.

    An empty cell says that nothing is known; a cell that is not understood is never taken for an empty one, nor is one
    of the columns ``cut_off``, before which the row ends.
    """

    def __init__(
        self, cells: Mapping[str, str], table: str = "", cut_off: frozenset[str] = frozenset(), line: int = 0
    ) -> None:
        super().__init__(cells)
        self.table = table
        self.cut_off = cut_off
        self.line = line
        self.unread: dict[str, str] = {}
        self.unread_density: dict[str, str] = {}
        """Like ``unread``, of the density, which decides no label: the image is used without it."""

    @property
    def fault(self) -> str:
        """Name the columns whose cells are not understood, with what is in them as far as it may be quoted."""
        return _named(self.unread)

    @property
    def density_fault(self) -> str:
        """Name the column of a density that is not understood, as ``fault`` does."""
        return _named(self.unread_density)

    def density(self, column: str) -> str:
        """Return the BI-RADS density, A to D; empty for an empty cell and, remembered, for one that is not understood.

        It is not understood either where the row ends before its column.
        """
        cell = self.get(column, "")
        if not (found := density_of(cell)) and (cell or column in self.cut_off):
            self.unread_density[column] = cell
        return found

    def read(self, column: str, meaning: Callable[[str], T | None], empty: T) -> T:
        """Return what a cell means; ``empty`` if it is empty, missing or not understood, which is remembered."""
        if not (cell := self.get(column, "")):
            if column in self.cut_off:
                self.unread[column] = ""
            return empty
        if (found := meaning(cell)) is None:
            self.unread[column] = cell
            return empty
        return found

    def word(self, column: str, words: Mapping[str, T], empty: T) -> T:
        """Return what one of ``words`` means, which are written in lower case; see ``read``."""
        return self.read(column, lambda cell: words.get(cell.lower()), empty)

    def whole(self, column: str, allowed: range) -> int | None:
        """Return an integer of ``allowed``, None for an empty cell; see ``read``."""
        return self.read(column, lambda cell: found if (found := number(cell)) in allowed else None, None)

    def yes(self, column: str) -> bool | None:
        """Return whether a cell says yes (1, true, yes) or no; None for an empty cell; see ``read``."""
        return self.word(column, {**dict.fromkeys(YES, True), **dict.fromkeys(NO, False)}, None)

    def side(self, *columns: str) -> str:
        """Return L or R from the first of ``columns`` that is not empty, else an empty string; see ``read``."""
        column = next((name for name in columns if self.get(name)), columns[0])
        return self.word(column, {word.lower(): side for word, side in SIDES.items()}, "")

    def identifier(self, column: str) -> str:
        """Return an identifier as it was before a spreadsheet or pandas turned 12345 into 12345.0.

        Raises UserError for one that a spreadsheet has rounded, such as 1.23457E+12: several may have become one.
        """
        cell = self.get(column, "")
        if is_rounded(cell):
            raise UserError(
                f"table {self.table}, {column}: expected an identifier, found a number that a spreadsheet has rounded "
                "(such as 1.23457E+12); take the table as it was downloaded, or give that column the format 'text'"
            )
        return without_decimals(cell)

    def patient(self, column: str) -> str:
        """Return the identifier of the woman whom a row is about, which has a digit in all archives.

        Raises UserError for a row without: what it says may be what decides the labels of her other images, as below a
        cell that a spreadsheet has merged over several rows.
        """
        if any(map(str.isdigit, identifier := self.identifier(column))):
            return identifier
        raise UserError(
            f"table {self.table}, line {self.line}, {column}: expected the identifier of a patient, found "
            f"{'a word' if identifier else 'an empty cell'}; write it into every row that is about her, or take the "
            "table as it was downloaded"
        )


def _named(unread: Mapping[str, str]) -> str:
    return ", ".join(f"{column}: {quoted(cell)}" for column, cell in unread.items())


@dataclass(frozen=True)
class Table:
    """The path of a table and its column names as ``plain`` writes them."""

    path: Path
    columns: frozenset[str]

    def rows(self) -> Iterator[Cells]:
        """Yield each row by plain column name; spaces around cells are removed, words such as 'nan' become empty.

        Raises UserError for a row with more cells than the header.
        """
        lines = read_lines(self.path)
        header = [plain(name) for name in next(lines).cells]
        is_text = self.path.suffix.lower() != ".xlsx"  # a workbook stores no empty cells
        for line in lines:
            if more := surplus(line, len(header)):
                raise UserError(
                    f"table {self.path.name}: line {line.number}: expected as many cells as the header has, found "
                    f"{more} more; is a comma not in quotes?"
                )
            if any(line.cells):
                cells = {name: known(cell) for name, cell in row_of(header, line).items() if name}
                cut_off = frozenset(header[len(line.cells) :] if is_text else ())
                yield Cells(cells, self.path.name, cut_off, line.number)


class NoFile(UserError):
    """Says what stands in the place of a table, which is no file."""


def open_table(path: Path) -> Table:
    """Read the header of a table. Raise UserError, which says why, if the file is not a table; NoFile if there is no
    file."""
    if (place := place_of(path)) != "file":
        raise NoFile(FOUND[place])
    try:
        header = next(read_lines(path)).cells
    except StopIteration:
        raise UserError("an empty file") from None
    except OSError as error:
        raise UserError(error.strerror or str(error)) from error
    except ValueError as error:
        raise UserError(f"a file that is no table ({error})") from error
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
