"""List all files under an archive's folder as possible images, tables or texts; none is skipped silently."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from mammogan.data.archives.base import Found
from mammogan.data.archives.tables import NoFile, Table, open_table
from mammogan.errors import UserError
from mammogan.io.atomic import FOUND, place_of
from mammogan.io.tables import SUFFIXES

TEXTS = {".json", ".xml", ".txt", ".md", ".html", ".htm", ".pdf", ".doc", ".docx", ".xls", ".tcia", ".yaml", ".yml",
         ".log", ".sha256", ".md5", ".roi", ".ini", ".py", ".ipynb", ".sh"}  # fmt: skip
"""Suffixes of files that are neither images nor tables. Any other file, whatever its name, could be an image."""
NAMED_TEXTS = {"LICENSE", "README", "CHANGELOG", "SHA256SUMS.txt", ".DS_Store", "Thumbs.db"}
SIGN_OF_OURS = "label_source"
"""A column of every table that a scan writes; it keeps such a table from being read as one of the archive's."""


def look_into(root: Path, tables: Sequence[Path] = ()) -> Found:
    """List everything under ``root``, following links to folders. If ``tables`` are given, only these are read.

    Raises UserError if ``root`` is not a folder or holds no image, or if one of ``tables`` cannot be read.
    """
    if (place := place_of(root)) != "folder":
        found = {"nothing": "nothing", "file": "a file"}.get(place) or FOUND[place]
        raise UserError(f"{root}: expected the folder of an archive, found {found}")
    closed: list[PurePath] = []
    images, listed, texts = [], [], []
    for path in sorted(_files(root, closed)):
        suffix = path.suffix.lower()
        if suffix in SUFFIXES:
            listed.append(path)
        elif suffix in TEXTS or path.name in NAMED_TEXTS:
            texts.append(path)
        else:
            images.append(path)
    if not images:
        raise UserError(f"{root}: expected images, found {len(listed)} tables and {len(texts)} texts only")
    opened, unread = (list(_given_tables(tables)), []) if tables else _opened(root, listed)
    outputs = [] if tables else [table for table in opened if SIGN_OF_OURS in table.columns]
    return Found(
        root,
        tuple(images),
        tuple(table for table in opened if table not in outputs),
        tuple(texts),
        tuple(sorted(closed)),
        tuple(table.path for table in outputs),
        tuple(unread),
        tuple(listed) if tables else (),
    )


def _files(root: Path, closed: list[PurePath]) -> Iterator[PurePath]:
    """Yield the files' paths relative to ``root``; folders that cannot be opened are added to ``closed``."""
    seen: set[tuple[int, int]] = set()

    def note(error: OSError) -> None:
        closed.append(PurePath(error.filename).relative_to(root))

    for folder, below, names in os.walk(root, onerror=note, followlinks=True):
        try:
            place = Path(folder).stat()
        except OSError as error:  # it was there a moment ago
            note(error)
            below.clear()
            continue
        if (place.st_dev, place.st_ino) in seen:  # a link to a folder listed already
            below.clear()
            continue
        seen.add((place.st_dev, place.st_ino))
        # A folder that is called like a table or a text stands where a file belongs, so it is listed as one too.
        names += [name for name in below if PurePath(name).suffix.lower() in {*SUFFIXES, *TEXTS}]
        yield from (PurePath(folder).relative_to(root) / name for name in names)


def _opened(root: Path, listed: Sequence[PurePath]) -> tuple[list[Table], list[tuple[PurePath, str]]]:
    """Open the tables of an archive's folder; return those that can be read, and the others with the reason."""
    opened, unread = [], []
    for path in listed:
        try:
            opened.append(open_table(root / path))
        except UserError as error:
            unread.append((path, str(error)))
    return opened, unread


def _given_tables(tables: Sequence[Path]) -> Iterator[Table]:
    """Open the tables of --tables, whatever their columns; UserError if one cannot be read."""
    for path in tables:
        if path.suffix.lower() not in SUFFIXES:
            raise UserError(f"--tables {path}: expected {', '.join(SUFFIXES)}; save it as CSV")
        try:
            yield open_table(path)
        except NoFile as error:
            raise UserError(f"--tables {path}: {error}") from error
        except UserError as error:
            raise UserError(
                f"--tables {path}: expected a table, found {error}; save it as 'CSV UTF-8', or download it again"
            ) from error
