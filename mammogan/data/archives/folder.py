"""What lies under an archive's folder: files that could be images, tables, texts. Nothing is passed over in silence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from mammogan.config import UserError
from mammogan.data.archives.archive import Found
from mammogan.data.archives.tables import SUFFIXES, Table, open_table

TEXTS = {".json", ".xml", ".txt", ".md", ".html", ".htm", ".pdf", ".doc", ".docx", ".xls", ".tcia", ".yaml", ".yml",
         ".log", ".sha256", ".md5", ".roi", ".ini", ".py", ".ipynb", ".sh"}  # fmt: skip
"""Endings of files that are neither images nor tables. Everything else, whatever its name, could be an image."""
NAMED_TEXTS = {"LICENSE", "README", "CHANGELOG", "SHA256SUMS.txt", ".DS_Store", "Thumbs.db"}
SIGN_OF_OURS = "label_source"
"""A column of the tables that a scan writes: where they are found beside an archive's, they are not the archive's."""


def look_into(root: Path, tables: Sequence[Path] = ()) -> Found:
    """List everything under ``root``, links to folders followed. ``tables`` replaces the search for tables."""
    if not root.is_dir():
        raise UserError(f"{root}: expected the folder of an archive, found {'a file' if root.exists() else 'nothing'}")
    closed: list[PurePath] = []
    images, listed, texts = [], [], []
    for path in sorted(_files(root, closed)):
        suffix = path.suffix.lower()
        if suffix in SUFFIXES:
            listed.append(root / path)
        elif suffix in TEXTS or path.name in NAMED_TEXTS:
            texts.append(path)
        else:
            images.append(path)
    if not images:
        raise UserError(f"{root}: expected images, found {len(listed)} tables and {len(texts)} texts only")
    opened = list(_asked(tables) if tables else filter(None, map(open_table, listed)))
    outputs = [] if tables else [table for table in opened if SIGN_OF_OURS in table.columns]
    return Found(
        root,
        tuple(images),
        tuple(table for table in opened if table not in outputs),
        tuple(texts),
        tuple(sorted(closed)),
        tuple(table.path for table in outputs),
    )


def _files(root: Path, closed: list[PurePath]) -> Iterator[PurePath]:
    """Paths relative to ``root``; folders that may not be entered go to ``closed``."""
    seen: set[tuple[int, int]] = set()

    def note(error: OSError) -> None:
        closed.append(PurePath(error.filename).relative_to(root))

    for folder, below, names in os.walk(root, onerror=note, followlinks=True):
        place = Path(folder).stat()
        if (place.st_dev, place.st_ino) in seen:  # a link back up
            below.clear()
            continue
        seen.add((place.st_dev, place.st_ino))
        yield from (PurePath(folder).relative_to(root) / name for name in names)


def _asked(tables: Sequence[Path]) -> Iterator[Table]:
    """The tables that a user names, whatever columns they have; UserError where one cannot be read."""
    for path in tables:
        if path.suffix.lower() not in SUFFIXES:
            raise UserError(f"--tables {path}: expected {', '.join(SUFFIXES)}; save it as CSV")
        if not path.is_file():
            raise UserError(f"--tables {path}: no such file")
        table = open_table(path)
        if table is None:
            raise UserError(f"--tables {path}: cannot be read as a table; save it as 'CSV UTF-8'")
        yield table
