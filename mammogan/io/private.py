"""Read and lock private files: never through a link, and only those that nobody else may read or write."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from mammogan.errors import UserError
from mammogan.io.atomic import PRIVATE

SHORTEST_SECRET = 16
FEWEST_BYTES = 6
"""A secret with fewer different bytes is none. 16 random hex digits have 10 on average, and fewer than 6 in one of
30,000 cases."""


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter. Raise UserError if there is one that others may write into."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _refuse_link(folder)
    found = folder.stat()
    if found.st_mode & 0o022:
        raise UserError(
            f"{folder} holds secrets, and others may write into it (mode {found.st_mode & 0o777:o}): anybody could "
            f"replace them. Make it private: chmod 700 {folder} (on a "
            "disk that keeps no rights: choose another --workspace)"
        )


def read_private(path: Path) -> bytes:
    """Read a file that holds a secret. Raise UserError if it is a link, if others than its owner and his group may
    read it, if others than its owner may write it, or if the owner is neither this user nor root."""
    file = _opened(path, os.O_RDONLY)
    try:
        _check(path, os.fstat(file))
        with open(file, "rb", closefd=False) as content:
            return content.read()
    finally:
        os.close(file)


def refuse_guessable(secret: bytes, file: str, remedy: str) -> None:
    """Raise UserError if a secret is too short or too plain to be one; ``file`` names it and ``remedy`` says what to
    do. An empty or cut file is refused so."""
    if len(secret) < SHORTEST_SECRET:
        raise UserError(f"{file}: expected at least {SHORTEST_SECRET} bytes, found {len(secret)}; {remedy}")
    if len(set(secret)) < FEWEST_BYTES:
        raise UserError(
            f"{file}: expected a random secret, found only {len(set(secret))} different characters, which can "
            f"be guessed; {remedy}"
        )


def open_lock(path: Path) -> int:
    """Open a file to be locked, and return its descriptor; it is made if it does not exist, never emptied. Raise
    UserError if it is a link."""
    return _opened(path, os.O_RDWR | os.O_CREAT)


def _opened(path: Path, flags: int) -> int:
    _refuse_link(path)
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, PRIVATE)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise _link(path) from None
        raise


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise _link(path)


def _link(path: Path) -> UserError:
    return UserError(f"{path} is a symbolic link, and private files are not read or written through one: remove it")


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path} is no regular file; remove it")
    if found.st_uid not in (os.geteuid(), 0):
        raise UserError(f"{path} belongs to another user, who could change it; give a file of your own")
    if found.st_mode & 0o027:
        raise UserError(
            f"{path} holds a secret, and others may read or change it (mode {found.st_mode & 0o777:o}). If nobody has, "
            f"make it private: chmod 600 {path}"
        )
