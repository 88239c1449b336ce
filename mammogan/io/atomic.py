"""Reads and writes files that are either complete or absent."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from mammogan.io.disk_errors import FULL, naming_file
from mammogan.io.temporary import temporary

PRIVATE = 0o600
"""Mode of a file that only its owner may read."""
ZEROS = "holds only zero bytes, as after a power loss"
"""What is wrong with a file whose length reached the disk and whose content did not; begins with its verb."""
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EBADF)


@contextmanager
def replaced_atomically(final: Path, mode: int | None = None) -> Iterator[Path]:
    """Give a temporary path beside ``final``; on success sync it to disk and rename it, on an exception remove it.

    Readers of ``final`` see a complete file, even if the process is killed or another process writes it too. With
    ``mode`` the temporary file is created empty with these rights first: nobody else can read a private file, even
    while it is written.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    own = temporary(final)
    try:
        if mode is not None:
            own.unlink(missing_ok=True)
            own.touch(mode, exist_ok=False)
        yield own
        with open(own, "rb") as file:
            os.fsync(file.fileno())
        own.replace(final)
    except OSError as error:
        # What is written through a descriptor fails without a name, and what cannot be renamed with the temporary one.
        if error.errno == errno.EISDIR or (error.filename is None and error.errno in FULL):
            error.filename = str(final)
        raise
    finally:
        own.unlink(missing_ok=True)


def write_text(final: Path, text: str, mode: int | None = None) -> None:
    """Write a text file, UTF-8, complete or not at all."""
    with replaced_atomically(final, mode) as own:
        own.write_text(text, encoding="utf-8")


def write_json(final: Path, value: Any) -> None:
    """Write indented JSON, keys in the given order; NaN and infinity are refused."""
    write_text(final, json.dumps(value, indent=1, allow_nan=False) + "\n")


Place = Literal["file", "folder", "nothing", "closed", "no answer", "other"]
"""What is at a path. closed: in a folder that may not be entered. no answer: its disk fails. other: a pipe or so."""
FOUND: dict[Place, str] = {
    "folder": "a folder",
    "nothing": "no such file",
    "closed": "a folder that you may not enter",
    "no answer": "a disk that does not answer",
    "other": "neither a file nor a folder",
}
"""What stands at a path instead of a file, in words; it quotes nothing."""


def place_of(path: Path) -> Place:
    """Return what is at a path. It never raises, while Path.is_file and Path.exists do for a closed folder."""
    try:
        mode = path.stat().st_mode
    except PermissionError:
        return "closed"
    except ValueError:  # no valid name of a file
        return "nothing"
    except OSError as error:
        return "nothing" if error.errno in ABSENT else "no answer"
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def is_file(path: Path) -> bool:
    """Return whether a file exists and can be reached; never raises, see ``place_of``."""
    return place_of(path) == "file"


def file_version(path: Path) -> tuple[int, ...]:
    """Return the file's inode, mtime in ns and size, which change when it is rewritten; () where there is no file.

    A reader compares it to know whether what it has read is still current.
    """
    try:
        written = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    if not stat.S_ISREG(written.st_mode):
        return ()
    return written.st_ino, written.st_mtime_ns, written.st_size


def read_json(path: Path) -> Any:
    """Read a JSON file, UTF-8."""
    return json.loads(path.read_text(encoding="utf-8"))


Digest = Callable[[Path], str]
"""Returns the sha256 of a file, read or remembered."""


def sha256(path: Path) -> str:
    """Return the file's SHA-256 as 64 hexadecimal digits."""
    with open(path, "rb") as file, naming_file(path):
        return hashlib.file_digest(file, "sha256").hexdigest()
