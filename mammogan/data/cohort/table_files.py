"""Find the files that a cohort table names, whatever system wrote their paths, and say truly why one is not there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from mammogan.io.atomic import FOUND, Place, place_of

WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def find_file(path: str, *folders: Path) -> tuple[Path, Place]:
    """Return the file that a table names, relative to one of ``folders`` or absolute, and what is there.

    Backslashes are read as slashes, and letters with accents in both ways in which systems store them, where the path
    as it is written names no file. If no spelling does, the first folder's path is returned as it is written.
    """
    places = [(folder / spelling, folder) for spelling in spellings(path) for folder in folders]
    found = [(file, place_of(file)) for file, _ in places]
    best = next((pair for pair in found if pair[1] == "file"), None)
    return best or next((pair for pair in found if pair[1] != "nothing"), found[0])


def spellings(path: str) -> Iterator[str]:
    """Yield a path as it is written, with slashes for backslashes, and with accents composed and decomposed."""
    seen = set()
    for slashed in (path, path.replace("\\", "/")):
        for form in (slashed, unicodedata.normalize("NFC", slashed), unicodedata.normalize("NFD", slashed)):
            if form not in seen:
                seen.add(form)
                yield form


def why_not(path: str, place: Place) -> str:
    """Say in words why a path of a table names no file; quotes nothing."""
    if place == "nothing" and WINDOWS.match(path):
        return "a path of Windows, which is not on this machine"
    return FOUND[place]
