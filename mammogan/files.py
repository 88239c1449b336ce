"""Files that are either complete or absent."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mammogan.writers import temporary

PRIVATE = 0o600
"""Mode of a file that only its owner may read."""


@contextmanager
def written_beside(final: Path, mode: int | None = None) -> Iterator[Path]:
    """Give a temporary path beside ``final``; on success sync it to disk and rename it, on an exception remove it.

    Whoever sees ``final`` sees a whole file, whenever the process was killed, and whoever else writes it. With ``mode``
    the file is there already, empty, with these rights: a private file is never readable by others, not even while it
    is written.
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
    finally:
        own.unlink(missing_ok=True)


def write_text(final: Path, text: str, mode: int | None = None) -> None:
    with written_beside(final, mode) as own:
        own.write_text(text, encoding="utf-8")


def write_json(final: Path, value: Any) -> None:
    """Write indented JSON with a stable key order as given; NaN and infinity are refused."""
    write_text(final, json.dumps(value, indent=1, allow_nan=False) + "\n")


def is_file(path: Path) -> bool:
    """Whether a file is there and can be reached: False, too, where its disk does not answer, of which Path.is_file
    makes an error that names the file."""
    try:
        return path.is_file()
    except OSError:
        return False


def version(path: Path) -> tuple[int, ...]:
    """What is another once a file is written anew: to know whether what was read of it is still so. Empty where there
    is none."""
    if not path.is_file():
        return ()
    written = path.stat()
    return written.st_ino, written.st_mtime_ns, written.st_size


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
