"""Finds what went wrong in the logs of a job, in one line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

TAIL_BYTES = 1 << 16
SECOND_HAND = "CalledProcessError"
"""Says only that a program failed; the program's own error is in the same log."""
PEER_LOST = ("closed by peer", "reset by peer", "Broken pipe", "Socket Timeout", "ProcessGroup")
"""Texts of errors that say only that another rank is gone."""
EXCEPTION = re.compile(r"(?:\w+\.)*([A-Za-z_]\w*(?:: .*)?)$")
"""The last line of a traceback, without the module before the exception's name."""
PREFIX = re.compile(r"^\[rank\d+\]:\s?", re.MULTILINE)
"""What torch writes before each line of a traceback when there are several ranks."""
SCHEDULER = re.compile(r"(?:slurmstepd|srun|slurmd|bash|/bin/sh): .*|error: .*|.*\bKilled\b.*")
"""Errors of SLURM, of the shell, and of programs."""


def last_error(logs: Sequence[Path]) -> str:
    """Return the last error in the newest log that has one, its first line only; empty when none has.

    Errors that say only that another rank is gone are returned only if there is no other.
    """
    errors = [error for log in sorted(logs, key=written_at, reverse=True) if (error := _last([*_errors(_tail(log))]))]
    first_hand = [error for error in errors if not any(sign in error for sign in PEER_LOST)]
    exceptions = [error for error in first_hand if not SCHEDULER.match(error) or error.startswith("error: ")]
    return next(iter(exceptions or first_hand or errors), "")


def _errors(text: str) -> Iterator[str]:
    """Yield the ends of tracebacks, and the errors that programs and the scheduler print, in order."""
    in_traceback = False
    for line in PREFIX.sub("", text).splitlines():
        if line.startswith("Traceback (most recent call last)"):
            in_traceback = True
        elif in_traceback and line and not line[0].isspace():
            in_traceback = False
            if match := EXCEPTION.match(line):
                yield match[1].strip()
        elif SCHEDULER.match(line):
            yield line.strip()


def _last(errors: Sequence[str]) -> str:
    """Return the last error of a program of ours, else the last one of the scheduler."""
    own = [e for e in errors if not e.startswith(SECOND_HAND) and (e.startswith("error: ") or not SCHEDULER.match(e))]
    return (own or list(errors) or [""])[-1]


def _tail(log: Path) -> str:
    """Return the last TAIL_BYTES of a log; empty when it cannot be read."""
    try:
        with open(log, "rb") as file:
            file.seek(-min(TAIL_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def written_at(path: Path) -> float:
    """Return when a file or folder was last written, in seconds since 1970; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
