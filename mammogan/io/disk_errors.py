"""Say in words why a file cannot be written or read, and what to do about it."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOST = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.EREMOTEIO, errno.ETIMEDOUT, errno.ENOTCONN)
"""What a disk, or the network to it, answers that is broken or gone."""
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)


def explained(error: OSError) -> str:
    """Return what went wrong, with the path, and what to do where that is known."""
    told = error.strerror or str(error) or type(error).__name__
    if not error.filename:
        return told
    path = Path(os.fsdecode(error.filename))
    return f"{told}: {path}{_remedy(error.errno, path)}"


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Name the file in an error of its disk: what fails while a file is read, after it was opened, has no name."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


def _remedy(number: int | None, path: Path) -> str:
    if number in FULL:
        return f". {free(path)}; free some space, there or where the output goes, and repeat the command: it resumes"
    if number == errno.EISDIR:
        return ". A file belongs there: move the folder away, and repeat the command"
    if number in LOST:
        return (
            ". The disk, or the network to it, fails, which says nothing of what the file holds: see that it is mounted"
            " and what the system's log (dmesg) says, and repeat the command"
        )
    if number == errno.EROFS:
        return ". Its disk is mounted read-only: give a --workspace (or --out) where you may write"
    if number in (errno.EACCES, errno.EPERM):
        return f". {_owner(path)}: ask for the right to it, or give a --workspace (or --out) of your own"
    return ""


def _owner(path: Path) -> str:
    """Say whose the path is, or the nearest folder above it that can be seen, and its rights."""
    for there in (path, *path.absolute().parents):
        try:
            found = there.stat()
        except OSError:
            continue
        owner, mode = _name(found.st_uid), f"{found.st_mode & 0o777:o}"
        return f"{there} belongs to {owner} (mode {mode}), and you are {_name(os.geteuid())}"
    return "It cannot be reached"


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def try_writing(folder: Path) -> None:
    """Create a folder, and write a file into it that goes at once; OSError where that is not possible."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def free(path: Path) -> str:
    """Say how much space is left on the disk of a path, or of the nearest folder above it that exists."""
    return f"{free_bytes(path) / 1e9:.1f} GB are left"


def free_bytes(path: Path) -> int:
    """Return the free bytes on the disk of a path, or of the nearest folder above it that exists."""
    for there in (path, *path.absolute().parents):
        with suppress(OSError):  # it is not there, or in a folder that may not be entered
            return shutil.disk_usage(there).free
    return 0
