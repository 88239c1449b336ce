"""Find a checkpoint that was cut or changed, by the CRC-32 that a zip, as torch writes it, keeps of each member.

Padding between the members and header fields that reading does not use have no CRC: what is changed there is not found,
and does not change what is loaded.
"""

from __future__ import annotations

import zipfile
from errno import EINVAL
from typing import BinaryIO


def damage_of(file: BinaryIO) -> str:
    """Describe what is wrong with a zip, open for reading; empty if every member still has its CRC-32."""
    try:
        with zipfile.ZipFile(file) as whole:
            member = whole.testzip()
    except Exception as error:  # a changed header raises many kinds: BadZipFile, NotImplementedError, EOFError, ...
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno != EINVAL):
            raise
        return f"its bytes are no complete zip ({error})"
    return f"its bytes do not have the CRC-32 that they were written with, in {member}" if member else ""
