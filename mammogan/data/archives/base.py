"""Types that all archives share: how an archive is recognised, and what its headers and tables say of each image."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import Table
from mammogan.errors import UserError

Dataset = Literal[
    "auto", "rsna", "csaw-cc", "vindr", "cmmd", "cbis-ddsm", "inbreast", "embed", "omi-db", "nlbs", "csv"
]  # fmt: skip

SHOWN_TABLES = 5
"""How many tables that cannot be read a message lists."""


@dataclass(frozen=True)
class Header:
    """The values of a DICOM header that a scan needs. ``reason`` is empty if the image may be used.

    ``lateralities`` and ``views`` are (attribute, value) pairs, the most trusted first. Everything here is private.
    """

    reason: str = ""
    detail: str = ""
    patient: str = ""
    study: str = ""
    study_date: str = ""
    acquired: str = ""
    """Day of AcquisitionDateTime or AcquisitionDate; ContentDate may be the day of a later processing."""
    series_date: str = ""
    accession: str = ""
    study_number: str = ""
    """StudyID."""
    series: str = ""
    instance: str = ""
    series_text: str = ""
    named: str = ""
    """Reason for which the series' description speaks against the image."""
    text_decides: bool = False
    """Nothing coded says that the image is a plain view, and the description is of this one image, so ``named`` is more
    than a doubt."""
    lateralities: tuple[tuple[str, str], ...] = ()
    views: tuple[tuple[str, str], ...] = ()
    is_film: bool = False
    is_secondary: bool = False
    times: tuple[tuple[str, str], ...] = ()
    """(source, time) pairs, the most trusted first; times are YYYYMMDDhhmmss with a fraction, in the order of text."""
    series_number: int = 0
    rows: int = 0
    columns: int = 0
    number: int = 0
    """InstanceNumber, which counts within a series only."""
    syntax: str = ""
    """UID of the transfer syntax."""

    @property
    def area(self) -> int:
        """The number of pixels."""
        return self.rows * self.columns

    @property
    def laterality(self) -> str:
        """The most trusted side, or an empty string."""
        return self.lateralities[0][1] if self.lateralities else ""


@dataclass(frozen=True)
class Entry:
    """What an archive's tables say of one image, or of all images of a breast; empty fields are not in the tables.

    ``split`` is the archive's own split: train or test. ``excluded`` is the code of the reason why the tables exclude
    the image, and ``why_excluded`` explains it.
    """

    patient: str
    finding: Finding
    label_source: str
    study: str = ""
    laterality: str = ""
    view: str = ""
    density: str = ""
    split: str = ""
    excluded: str = ""
    why_excluded: str = ""
    unread_density: str = ""
    """Why the density is empty although the tables say something; empty if they say nothing or are understood."""


@dataclass(frozen=True)
class Catalogue:
    """The entries of an archive, and a function that finds the entry of a file. Each archive defines its own keys.

    ``find`` takes the file's path relative to the archive and its header, and returns key and entry, or None if the
    tables do not list the file. The entry need not be in ``entries``: some tables leave out what follows from them.
    """

    entries: Mapping[str, Entry]
    find: Callable[[PurePath, Header], tuple[str, Entry] | None]


@dataclass(frozen=True)
class TableSignature:
    """The columns by which an archive's table is recognised, as ``tables.plain`` writes them.

    A table fits if it has all of ``columns`` and none of ``never``. ``usual_name`` is the table's usual file name; it
    is empty for a user's own table, which may have any name. ``needed`` are further columns that decide labels: without
    one of them a table that fits is refused, because a missing column would be taken for empty cells.
    """

    usual_name: str
    columns: frozenset[str]
    never: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()

    def fits(self, table: Table) -> bool:
        """Return whether ``table`` has the columns of this mark."""
        return self.columns <= table.columns and not self.never & table.columns

    @property
    def title(self) -> str:
        """The name of the table in a message."""
        return f"the table {self.usual_name}" if self.usual_name else "a table of your own"


@dataclass(frozen=True)
class Found:
    """The files under a folder. Paths are relative to ``root`` and sorted; ``texts`` are neither images nor tables."""

    root: Path
    images: tuple[PurePath, ...]
    tables: tuple[Table, ...] = ()
    texts: tuple[PurePath, ...] = ()
    closed: tuple[PurePath, ...] = ()
    """Folders that could not be opened."""
    outputs: tuple[Path, ...] = ()
    """Tables that look like the output of a scan; they are not in ``tables``."""
    unread: tuple[tuple[PurePath, str], ...] = ()
    """Tables that cannot be read, each with what was found in its place; they are not in ``tables``."""
    not_named: tuple[PurePath, ...] = ()
    """Tables of the folder where --tables says which ones are read; those may be among them."""

    def matching(self, mark: TableSignature) -> list[Table]:
        """Return the tables that fit ``mark``."""
        return [table for table in self.tables if mark.fits(table)]

    def all_of(self, mark: TableSignature) -> list[Table]:
        """Return all tables that fit ``mark``; UserError if there is none."""
        if not (tables := self.matching(mark)):
            raise UserError(
                f"expected {mark.title}, with columns {', '.join(sorted(mark.columns))}, in or under {self.root}; "
                f"found none{self.unread_tables}. If it lies elsewhere, name it with --tables{self.old_workbooks}"
                + ("" if mark.usual_name else self.passed_over)
            )
        for table in tables:
            if missing := sorted(mark.needed - table.columns):
                raise UserError(
                    f"table {table.path.name}: expected the column {' and '.join(missing)} too, which decides labels; "
                    "found none of that name. Take the table as it was downloaded, or give the column its name back"
                )
        return tables

    @property
    def unread_tables(self) -> str:
        """The part of the message about a missing table that says which tables cannot be read, and why."""
        held = [f"{path.name}: {why}" for path, why in self.unread[:SHOWN_TABLES]]
        return f" (cannot be read: {', '.join(held)})" if held else ""

    @property
    def old_workbooks(self) -> str:
        """The part of that message that names a workbook of the old kind, if there is one."""
        names = [path.name for path in self.texts if path.suffix.lower() == ".xls"]
        return f"; if it is {names[0]}, save that as CSV" if names else ""

    @property
    def passed_over(self) -> str:
        """The end of the message about a missing table, if a table was found that looks like the output of a scan."""
        if not self.outputs:
            return ""
        return (
            f". {self.outputs[0]} is taken for the output of a scan, for it has a column label_source; if it is your "
            "table, name it with --tables"
        )

    def one(self, mark: TableSignature) -> Table:
        """Return the only table that fits ``mark``, or the one with the usual name.

        UserError if there is none, or if several fit and the name does not decide.
        """
        tables = self.all_of(mark)
        named = [table for table in tables if table.path.name == mark.usual_name]
        if len(tables) > 1 and len(named) != 1:
            names = ", ".join(str(table.path) for table in tables)
            like = f"table like {mark.usual_name}" if mark.usual_name else "table of your own"
            raise UserError(f"expected one {like}, found {names}; name the right one with --tables")
        return (named or tables)[0]


@dataclass(frozen=True)
class Archive:
    """How one archive is recognised and read.

    ``bases`` lists the evidence for cancer that the archive has, its default first. ``layout`` is a pattern of its
    file paths.
    """

    name: str
    title: str
    bases: tuple[Basis, ...]
    read: Callable[[Found, Basis], Catalogue]
    marks: tuple[TableSignature, ...] = ()
    layout: re.Pattern[str] | None = None
    is_film: bool = False
    ml_means_mlo: bool = False
    has_split: bool = False
    is_own: bool = False
    """True for a user's own table: each label is used as it is, whatever the labels of the woman's other images, and
    patient identifiers are kept. For public archives, the archive's name is put before each patient identifier, so
    that the tables of several archives can be joined."""

    def table_seen(self, found: Found) -> Table | None:
        """Return a table that only this archive has, or None."""
        return next((table for mark in self.marks for table in found.matching(mark)), None)

    def file_seen(self, found: Found) -> PurePath | None:
        """Return a file whose path has the pattern that only this archive uses, or None."""
        layout = self.layout
        return next((p for p in _all_files(found) if layout.search(p.as_posix())), None) if layout else None


def _all_files(found: Found) -> Iterator[PurePath]:
    yield from found.texts
    yield from found.images
