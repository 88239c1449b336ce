"""Files that are either complete or absent."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PRIVATE = 0o600
"""Mode of a file that only its owner may read."""


@contextmanager
def written_beside(final: Path, mode: int | None = None) -> Iterator[Path]:
    """Give a temporary path beside ``final``; on success sync it to disk and rename it, on an exception remove it.

    Whoever sees ``final`` sees a whole file, whenever the process was killed. With ``mode`` the file is there already,
    empty, with these rights: a private file is never readable by others, not even while it is written.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    try:
        if mode is not None:
            temporary.unlink(missing_ok=True)
            temporary.touch(mode, exist_ok=False)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def remove_torn(final: Path) -> None:
    """Remove what processes that were killed while they wrote ``final`` left beside it. Nobody may write it now."""
    for torn in final.parent.glob(f".{glob.escape(final.name)}.*.tmp"):
        torn.unlink(missing_ok=True)


def write_text(final: Path, text: str, mode: int | None = None) -> None:
    with written_beside(final, mode) as temporary:
        temporary.write_text(text, encoding="utf-8")


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


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
