"""The hashes of large files, each computed once."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from mammogan.errors import UserError
from mammogan.io.atomic import file_version, sha256
from mammogan.io.records import read_record, write_record

WORTH_KEEPING = 1 << 20
"""Files of so many bytes are hashed once; smaller ones are hashed as fast as they are looked up."""


class Hashes:
    """The sha256 of files, kept in a file of the workspace while device, inode, size and mtime of each stay the same.

    So planning never reads a checkpoint twice.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Any] = {}
        with suppress(UserError, OSError):
            self._known = read_record(file)

    def of(self, path: Path) -> str:
        """Return the sha256 of a file; OSError where it cannot be read."""
        found, name = path.stat(), str(path.absolute())
        version = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]
        known = self._known.get(name)
        if isinstance(known, dict) and known.get("version") == version and isinstance(known.get("sha256"), str):
            return str(known["sha256"])
        digest = sha256(path)
        self._known[name] = {"version": version, "sha256": digest}
        if found.st_size >= WORTH_KEEPING:
            with suppress(OSError):  # the workspace of somebody else can be looked at
                write_record(self._file, self._known)
        return digest


def sha256_once(path: Path) -> str:
    """Return the sha256 of a file, which this process computes once for as long as the file stays the same."""
    return _sha256_of_version(path, file_version(path))


@cache
def _sha256_of_version(path: Path, version: tuple[int, ...]) -> str:
    return sha256(path)
