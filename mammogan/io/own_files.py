"""Whether one of the package's own files is there: what stands in its place and is no readable file is damage.

A folder, a link to nothing or a file that may not be read would otherwise count as work that was never done.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from mammogan.errors import UserError
from mammogan.io.atomic import FOUND, Place, place_of
from mammogan.io.disk_errors import explained
from mammogan.left_by_others import ours_in

REMEDIES: dict[Place, str] = {
    "folder": "Move the folder away",
    "other": "Remove it",
    "no answer": "Wait until its disk answers",
}


class Misplaced(UserError):
    """Something stands in the place of one of our own files that cannot be read as a file."""


def file_exists(path: Path) -> bool:
    """Return whether one of our own files exists. Raise Misplaced if something else is in its place, or if the file may
    not be read; a link is followed."""
    place = place_of(path)
    if place == "file":
        if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
            raise Misplaced(explained(PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))))
        return True
    if place == "closed":
        raise Misplaced(explained(PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))))
    if place == "nothing":
        _refuse_broken_link(path)
        return False
    raise Misplaced(f"{path}: expected a file, found {FOUND[place]}. {REMEDIES[place]}, and repeat the command")


def in_folders(root: Path, folders: str, name: str) -> list[Path]:
    """Return the files of this name in those folders below ``root`` that match a pattern, sorted. Raise Misplaced as
    ``file_exists`` does, where a search by pattern would pass over a broken link."""
    return [folder / name for folder in ours_in(root, folders) if file_exists(folder / name)]


def _refuse_broken_link(path: Path) -> None:
    """Raise Misplaced if there is a link that leads to nothing, or back to itself, here or on the way here."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Misplaced(
                f"{path}: expected a file, found a link that leads back to itself. Remove the link, put the file in "
                "its place, and repeat the command"
            ) from None
    if path.is_symlink():
        raise Misplaced(
            f"{path}: expected a file, found a link to {path.readlink()}, which is not there. Bring that file back "
            "(is its disk mounted?), or remove the link, and repeat the command"
        )
