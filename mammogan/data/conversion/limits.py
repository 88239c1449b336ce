"""Limits of a conversion (processes, time per file, failures), and its error message when the disk is not writable."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mammogan.data.conversion.failure_limit import most_failures
from mammogan.data.parallel.pool import cores, processes
from mammogan.errors import UserError
from mammogan.io import terminal
from mammogan.io.disk_errors import FULL, REFUSED, free

PROCESS_BYTES = 500_000_000
"""Memory that a process needs for images of the largest detectors, 17 million pixels: 0.37e9 measured.

A scan of 100 million pixels takes 1.0e9.
"""
RESUME_HINT = "finished work is kept, and the same command resumes from there"


@dataclass(frozen=True)
class Running:
    """How a conversion runs; the bytes of its shards do not depend on it. Raises UserError for invalid values."""

    jobs: int = 0
    """Number of processes; 0: one per core, or fewer when memory is short."""
    file_seconds: float = 0
    """Seconds after which a file is given up and left out; 0: no limit. A single job without a limit runs in the main
    process, unprotected: a decoder that crashes then ends the conversion."""
    max_failures: str = ""
    """Stop when more files than this are left out: a number such as '20', or a share of all such as '5%'; '': never."""

    def __post_init__(self) -> None:
        if self.jobs < 0 or not self.file_seconds >= 0:
            raise UserError(
                f"--jobs {self.jobs} --file-seconds {self.file_seconds:g}: expected 0 (all cores; no limit) or more"
            )
        most_failures(self.max_failures, files=0)

    def processes(self, tasks: int) -> int:
        """Return how many processes to start for ``tasks`` files; prints a message when memory limits them."""
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
    """Replace an OSError by a UserError which says that ``folder`` cannot be written, why, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            mend = f"{free(folder)}; free some space, there or where the output goes"
        elif error.errno in REFUSED:
            mend = "give a --workspace where you may write"
        elif error.errno == errno.EIO:
            mend = "check the disk"
        else:
            raise
        raise UserError(f"{folder} cannot be written: {error.strerror}. {mend}: {RESUME_HINT}") from error
