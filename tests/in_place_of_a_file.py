"""What can stand in the place of a file, and what commands then have to say."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
UNREADABLE = "a file that may not be read"
IN_PLACE = {
    "a folder": "expected a file, found a folder. Move the folder away",
    "a link to nothing": "found a link to .*gone, which is not there",
    "a link to itself": "found a link that leads back to itself",
    UNREADABLE: "Permission denied: .* belongs to",
}
"""What is put in the place of a file, and a part of what is said then."""


def put_in_place(path: Path, what: str) -> None:
    """Put one of these in the place of an existing file."""
    if what == UNREADABLE:
        path.chmod(0)
        return
    path.unlink()
    if what == "a folder":
        path.mkdir()
    else:
        path.symlink_to(path.name if what == "a link to itself" else path.with_name("gone"))


def reads_all() -> bool:
    """Whether this process may read every file, as root may."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(0)
        return os.access(file.name, os.R_OK)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Lose root's right to read every file."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
