"""The seal of a checkpoint: a sha256 of all its bytes, stored as the comment at the end of the zip that torch writes.

It is written and renamed together with the rest, is copied with the file, and shows if the file was cut or changed.
"""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

NAME = b"sha256 "
SEAL_BYTES = len(NAME) + 64
END, END_BYTES = b"PK\x05\x06", 22
"""A zip's last record; its last two bytes are the length of the comment that follows."""


def seal(file: BinaryIO) -> None:
    """Seal a zip without a comment, open for reading and writing, and flush all of it to disk.

    Raises RuntimeError if the file does not end as a zip does.
    """
    end = _last(file, END_BYTES)
    if not (end.startswith(END) and end.endswith(b"\0\0")):
        raise RuntimeError("this version of torch does not end its files as zips do, so they cannot be sealed")
    file.seek(-2, os.SEEK_END)
    file.write(SEAL_BYTES.to_bytes(2, "little"))
    digest = _sha256_of_first(file, file.tell())
    file.write(NAME + digest.encode())
    file.flush()
    os.fsync(file.fileno())


def broken_seal(file: BinaryIO) -> str:
    """Describe what the seal of a file, open for reading, shows to be wrong; empty if it is intact or missing."""
    claimed = _last(file, SEAL_BYTES)
    if not claimed.startswith(NAME):
        return ""
    found = _sha256_of_first(file, os.fstat(file.fileno()).st_size - SEAL_BYTES)
    return "" if claimed == NAME + found.encode() else "its bytes do not have the sha256 that they were written with"


def _last(file: BinaryIO, count: int) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - count))
    return file.read()


def _sha256_of_first(file: BinaryIO, size: int) -> str:
    """Hash the first ``size`` bytes and leave the file's position after them."""
    file.seek(0)
    digest = hashlib.sha256()
    while size > 0 and (block := file.read(min(size, 1 << 20))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()
