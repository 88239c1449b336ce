"""What every archive comes down to: the tables and folders it is known by, and for each file an entry of one kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from mammogan.config import UserError
from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import Table

Dataset = Literal[
    "auto", "rsna", "csaw-cc", "vindr", "cmmd", "cbis-ddsm", "inbreast", "embed", "omi-db", "nlbs", "csv"
]  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a DICOM header says, as far as a scan asks. ``reason`` is empty for an image that may be used.

    ``lateralities`` and ``views`` are clues, the most trusted first, each with the attribute it comes from. Everything
    here is private.
    """

    reason: str = ""
    detail: str = ""
    patient: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""
    series_text: str = ""
    lateralities: tuple[tuple[str, str], ...] = ()
    views: tuple[tuple[str, str], ...] = ()
    is_film: bool = False
    is_secondary: bool = False
    area: int = 0
    number: int = 0
    """InstanceNumber: the later one of two images of a view is the better one."""
    syntax: str = ""
    """UID of its transfer syntax."""

    @property
    def laterality(self) -> str:
        """The most trusted clue, or an empty string."""
        return self.lateralities[0][1] if self.lateralities else ""


@dataclass(frozen=True)
class Entry:
    """What an archive's tables say of one image, or of all images of a breast. Empty: they do not say.

    ``split`` is the archive's own, train or test. ``excluded`` is a reason code that the tables give, ``why_excluded``
    says more of it.
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


@dataclass(frozen=True)
class Catalogue:
    """The entries of an archive by a key of its own, and how to find the key and entry of a file.

    ``find`` gets the file's path relative to the archive and its header; None: the tables do not list it. It may give
    an entry that is not among ``entries``, for what the tables leave to be understood.
    """

    entries: Mapping[str, Entry]
    find: Callable[[PurePath, Header], tuple[str, Entry] | None]


@dataclass(frozen=True)
class Mark:
    """A table by which an archive is known; columns as ``tables.plain`` writes them.

    ``usual_name`` is what it is usually called; empty for a user's own, which may be called anything.
    """

    usual_name: str
    columns: frozenset[str]
    never: frozenset[str] = frozenset()

    def fits(self, table: Table) -> bool:
        return self.columns <= table.columns and not self.never & table.columns

    @property
    def title(self) -> str:
        """What is looked for, for a message."""
        return f"the table {self.usual_name}" if self.usual_name else "a table of your own"


@dataclass(frozen=True)
class Found:
    """What lies under a folder. Paths are relative to ``root`` and sorted; ``texts`` are neither images nor tables."""

    root: Path
    images: tuple[PurePath, ...]
    tables: tuple[Table, ...] = ()
    texts: tuple[PurePath, ...] = ()
    closed: tuple[PurePath, ...] = ()
    """Folders that may not be entered."""
    outputs: tuple[Path, ...] = ()
    """Tables that are taken for what a scan wrote, and are not among ``tables``."""

    def matching(self, mark: Mark) -> list[Table]:
        return [table for table in self.tables if mark.fits(table)]

    def all_of(self, mark: Mark) -> list[Table]:
        """Every table of this kind; UserError when there is none."""
        if not (tables := self.matching(mark)):
            raise UserError(
                f"expected {mark.title}, with columns {', '.join(sorted(mark.columns))}, in or under {self.root}; "
                f"found none. If it lies elsewhere, name it with --tables{self._old_workbooks()}"
                + ("" if mark.usual_name else self.passed_over)
            )
        return tables

    def _old_workbooks(self) -> str:
        names = [path.name for path in self.texts if path.suffix.lower() == ".xls"]
        return f"; if it is {names[0]}, save that as CSV" if names else ""

    @property
    def passed_over(self) -> str:
        """The end of a message that misses a table, where one was found that looks like a scan's own."""
        if not self.outputs:
            return ""
        return (
            f". {self.outputs[0]} is taken for the output of a scan, for it has a column label_source; if it is your "
            "table, name it with --tables"
        )

    def one(self, mark: Mark) -> Table:
        """The only table of this kind, or the one with the usual name; UserError when there is none or no telling."""
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

    ``bases`` is what can make a positive in it, its default first. ``layout`` is a pattern of the paths of its files.
    """

    name: str
    title: str
    bases: tuple[Basis, ...]
    read: Callable[[Found, Basis], Catalogue]
    marks: tuple[Mark, ...] = ()
    layout: re.Pattern[str] | None = None
    is_film: bool = False
    ml_means_mlo: bool = False
    has_split: bool = False
    is_own: bool = False
    """A user's own table: its labels are not weighed against each other, its patients are called as they are. To the
    patients of public archives the archive's name is added, so that tables of several can be joined."""

    def table_seen(self, found: Found) -> Table | None:
        """A table that only this archive has."""
        return next((table for mark in self.marks for table in found.matching(mark)), None)

    def file_seen(self, found: Found) -> PurePath | None:
        """A file that lies and is called as only this archive's are."""
        layout = self.layout
        return next((p for p in _all_files(found) if layout.search(p.as_posix())), None) if layout else None


def _all_files(found: Found) -> Iterator[PurePath]:
    yield from found.texts
    yield from found.images
