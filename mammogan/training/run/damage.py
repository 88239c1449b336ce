"""Find a checkpoint that was cut or changed, by the CRC-32 that a zip, as torch writes it, keeps of each member.

Padding between the members and header fields that reading does not use have no CRC: what is changed there is not found,
and does not change what is loaded.
"""

from __future__ import annotations

import zipfile
from errno import EINVAL
from os import SEEK_END
from typing import BinaryIO

END, END_BYTES = b"PK\5\6", 22
"""Beginning and size of the record that a zip ends with, before its comment; only version 0.1 wrote one."""


def damage_of(file: BinaryIO) -> str:
    """Describe what is wrong with a zip, open for reading; empty if every member still has its CRC-32."""
    try:
        with zipfile.ZipFile(file) as whole:
            member, comment = whole.testzip(), whole.comment
        file.seek(-END_BYTES - len(comment), SEEK_END)
        ends = file.read(len(END)) == END
    except Exception as error:  # a changed header raises many kinds: BadZipFile, NotImplementedError, EOFError, ...
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno != EINVAL):
            raise
        return f"its bytes are no complete zip ({error})"
    if not ends:
        return "something was appended to it"
    return f"its bytes do not have the CRC-32 that they were written with, in {member}" if member else ""
