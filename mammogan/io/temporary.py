"""Names temporary files, and finds those that killed processes left behind.

Several processes, on several machines, may write into one folder. The host and the process in a temporary file's name
show whether its writer still runs.
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
"""Age after which a temporary file counts as left behind if this machine cannot know whether its process runs."""
OF_A_WRITER = re.compile(r"\..+\.([0-9a-f]{12})\.(\d+)\.tmp")
"""Name of a temporary file: host (12 hexadecimal digits) and process."""


def this_host() -> str:
    """Return a digest of this machine's name: enough to recognise files of this machine."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:12]


def is_there(pid: int) -> bool:
    """Return whether a process runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def temporary(final: Path) -> Path:
    """Return the path beside ``final`` under which this process writes it."""
    return final.with_name(f".{final.name}.{this_host()}.{os.getpid()}.tmp")


def remove_abandoned(folder: Path, name: str = "*") -> None:
    """Remove temporary files of killed processes from ``folder``, for files whose names match.

    Their process was on this host and has ended, or they are older than a day. This process itself must not be writing
    such a file at the same time.
    """
    for path in folder.glob(f".{name}.tmp"):
        if _is_torn(path):
            path.unlink(missing_ok=True)


def remove_abandoned_of(final: Path) -> None:
    """Remove the temporary files that killed processes left of one file, see ``remove_abandoned``."""
    remove_abandoned(final.parent, f"{glob.escape(final.name)}.*")


def _is_torn(path: Path) -> bool:
    writer = OF_A_WRITER.fullmatch(path.name)
    if writer and writer[1] == this_host():
        pid = int(writer[2])
        return pid == os.getpid() or not is_there(pid)  # an earlier process may have had our number
    try:
        return time.time() - path.stat().st_mtime > ABANDONED_SECONDS
    except FileNotFoundError:
        return False
