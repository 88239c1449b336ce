"""Join the cohort tables of several archives into one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.data.archives.registry import ARCHIVES
from mammogan.data.cohort.identifiers import spelling_free
from mammogan.data.cohort.table import READ, Row, read_table
from mammogan.data.regions.region_file import pass_on
from mammogan.errors import UserError
from mammogan.io import atomic, tables

SOURCE = "source"
"""Column of the joined table that names the table of each row."""


@dataclass(frozen=True)
class Part:
    """One of the tables that are joined: its name, its checked rows, and all its cells by column."""

    name: str
    rows: list[Row]
    records: list[dict[str, str]]

    def line(self) -> str:
        """Return the counts of this table for the user."""
        labels = Counter(row.label for row in self.rows)
        patients = len({row.patient for row in self.rows})
        return f"{self.name}: {len(self.rows)} images of {patients} patients, {labels['positive']} positive"


def join_tables(paths: Sequence[Path], out: Path, one_numbering: bool = False, overwrite: bool = False) -> list[Part]:
    """Write ``out``, mode 600, with the rows of all tables, and return what came from each.

    Paths become absolute. A table's name is put before its patients, as in 'clinic:100', unless a scan has put an
    archive's name there, or ``one_numbering`` says that the same identifier is the same woman in all tables. All
    columns are kept, and so are the lesion regions beside the tables. Raises UserError if a table has faults, if a
    file is in two tables, if only some tables have splits, or if two tables have one name.
    """
    if len(paths) < 2:
        raise UserError(f"expected two or more tables to join, found {len(paths)}")
    if atomic.place_of(out) != "nothing" and not overwrite:
        raise UserError(f"{out} is there already; give another --out, or --overwrite")
    parts = [_part(path) for path in paths]
    _refuse(parts)
    columns = list(dict.fromkeys(name for name in (*READ, *_all_columns(parts)) if name in _all_columns(parts)))
    pass_on(paths, out)
    tables.write(out, [SOURCE, *columns], _joined(parts, columns, one_numbering), atomic.PRIVATE)
    return parts


def in_several(parts: Sequence[Part]) -> int:
    """Return how many identifiers are in several tables, in any spelling, and became different women by their names."""
    tables_of = Counter(
        identifier
        for part in parts
        if not _has_archives_name(part)
        for identifier in {spelling_free(row.patient) for row in part.rows}
    )
    return sum(number > 1 for number in tables_of.values())


def _part(path: Path) -> Part:
    rows = read_table(path)
    header, *lines = tables.read_lines(path, tables.WHOLE)
    names = [name.strip().lower() if name.strip().lower() in READ else name.strip() for name in header.cells]
    return Part(path.stem, rows, [tables.row_of(names, line) for line in lines])


def _all_columns(parts: Sequence[Part]) -> list[str]:
    return [name for part in parts for name in part.records[0] if name not in ("", SOURCE)]


def _refuse(parts: Sequence[Part]) -> None:
    names = Counter(part.name for part in parts)
    if twice := [name for name, number in names.items() if number > 1]:
        raise UserError(f"two tables are called {twice[0]}, so their patients would be mixed up; rename one of them")
    files = Counter(row.file.resolve() for part in parts for row in part.rows)
    if twice_listed := sum(number > 1 for number in files.values()):
        raise UserError(f"expected each file in one table, found {twice_listed} in two; leave out one of the tables")
    split = [part.name for part in parts if part.rows[0].split]
    if split and len(split) < len(parts):
        raise UserError(
            f"expected splits in all tables or in none, found them in {', '.join(split)} only; take the column split "
            "away there, or scan the others with --split official"
        )


def _joined(parts: Sequence[Part], columns: Sequence[str], one_numbering: bool) -> Iterator[list[str]]:
    for part in parts:
        own = "" if one_numbering or _has_archives_name(part) else f"{part.name}:"
        for row, record in zip(part.rows, part.records, strict=True):
            cells = record | {"path": str(row.file.absolute()), "patient": f"{own}{row.patient}"}
            yield [part.name, *(cells.get(name, "") for name in columns)]


def _has_archives_name(part: Part) -> bool:
    """Return whether a scan put the archive's name before all patients."""
    return all(row.patient.partition(":")[0] in ARCHIVES and ":" in row.patient for row in part.rows)
