"""How a conversion runs: processes, time and failures allowed, and what it says when the disk does not take it."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mammogan import terminal
from mammogan.config import UserError
from mammogan.data.failures import most_failures
from mammogan.data.workers import cores, processes

PROCESS_BYTES = 500_000_000
"""What a process needs for the images of the largest detectors, 17 million pixels: 0.37e9 measured; a scan of 100
million takes 1.0e9."""
GO_ON = "what is finished is kept, and the same command goes on from there"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)


@dataclass(frozen=True)
class Running:
    """How a conversion runs; the bytes of its shards depend on none of it."""

    jobs: int = 0
    """Processes; 0: one for each core, as far as memory allows."""
    file_seconds: float = 0
    """A file that takes longer is left out; 0: no limit, and one job then runs in this process, unprotected."""
    max_failures: str = ""
    """Stop when more files are left out: '20', or '5%' of all; '': never."""

    def __post_init__(self) -> None:
        if self.jobs < 0 or not self.file_seconds >= 0:
            raise UserError(
                f"--jobs {self.jobs} --file-seconds {self.file_seconds:g}: expected 0 (all cores; no limit) or more"
            )
        most_failures(self.max_failures, files=0)

    def processes(self, tasks: int) -> int:
        """How many to start for so many files; it is said when memory is what decides."""
        wanted = min(self.jobs or cores(), max(1, tasks))
        started = min(wanted, processes(self.jobs, PROCESS_BYTES))
        if started < wanted:
            terminal.say(
                f"{started} of {wanted} processes: each may need {PROCESS_BYTES / 1e9:g} GB, and no more memory is "
                "free (--jobs decides otherwise)"
            )
        return started


@contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Tell in one sentence, as a UserError, when ``folder`` cannot be written, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            mend = f"{_free(folder)}; free some space, there or where the output goes"
        elif error.errno in REFUSED:
            mend = "give a --workspace where you may write"
        elif error.errno == errno.EIO:
            mend = "check the disk"
        else:
            raise
        raise UserError(f"{folder} cannot be written: {error.strerror}. {mend}: {GO_ON}") from error


def _free(folder: Path) -> str:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return f"{shutil.disk_usage(there).free / 1e9:.1f} GB are left"
