"""Temporary files: which process writes one, and whether it still may.

Several processes may write into one folder, on several machines; what one of them left behind when it was killed is
told from what another is writing by the host and the process in its name.
"""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import re
import time
from pathlib import Path

ABANDONED_SECONDS = 86400.0
"""After which a temporary file is left behind of which nobody here knows whether its process lives."""
OF_A_WRITER = re.compile(r"\..+\.([0-9a-f]{12})\.(\d+)\.tmp")


def this_host() -> str:
    """A digest of the machine's name: enough to know one's own."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:12]


def is_there(pid: int) -> bool:
    """Whether a process of this machine lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def temporary(final: Path) -> Path:
    """The name, beside ``final``, under which this process writes it."""
    return final.with_name(f".{final.name}.{this_host()}.{os.getpid()}.tmp")


def remove_torn(folder: Path, name: str = "*") -> None:
    """Remove what killed processes left in ``folder`` of files that are named like this: their process was of this
    host and is gone, or they are older than a day. This process itself may not be writing one of them now."""
    for path in folder.glob(f".{name}.tmp"):
        if _is_torn(path):
            path.unlink(missing_ok=True)


def remove_torn_of(final: Path) -> None:
    """The same of one file."""
    remove_torn(final.parent, f"{glob.escape(final.name)}.*")


def _is_torn(path: Path) -> bool:
    writer = OF_A_WRITER.fullmatch(path.name)
    if writer and writer[1] == this_host():
        pid = int(writer[2])
        return pid == os.getpid() or not is_there(pid)  # a process before us may have had our number
    try:
        return time.time() - path.stat().st_mtime > ABANDONED_SECONDS
    except FileNotFoundError:
        return False
