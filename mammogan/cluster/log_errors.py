"""What went wrong, in one line, as the logs of a job tell it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

TAIL_BYTES = 1 << 16
SECOND_HAND = "CalledProcessError"
"""Tells that a program failed, which has told why in the same log."""
PEER_LOST = ("closed by peer", "reset by peer", "Broken pipe", "Socket Timeout", "ProcessGroup")
EXCEPTION = re.compile(r"(?:\w+\.)*([A-Za-z_]\w*(?:: .*)?)$")
"""The last line of a traceback; the module before the exception's name helps nobody."""
SCHEDULER = re.compile(r"(?:slurmstepd|srun|slurmd|bash|/bin/sh): .*|error: .*|.*\bKilled\b.*")


def last_error(logs: Sequence[Path]) -> str:
    """The last error in the newest of the logs that tell one; what only tells that another rank is gone comes last.

    Empty when none tells any. A message is its first line.
    """
    errors = [error for log in sorted(logs, key=_age) if (error := _last([*_errors(_tail(log))]))]
    first_hand = [error for error in errors if not any(sign in error for sign in PEER_LOST)]
    exceptions = [error for error in first_hand if not SCHEDULER.match(error) or error.startswith("error: ")]
    return next(iter(exceptions or first_hand or errors), "")


def _errors(text: str) -> Iterator[str]:
    """Ends of tracebacks, and what programs and the scheduler call errors, in order."""
    in_traceback = False
    for line in text.splitlines():
        if line.startswith("Traceback (most recent call last)"):
            in_traceback = True
        elif in_traceback and line and not line[0].isspace():
            in_traceback = False
            if match := EXCEPTION.match(line):
                yield match[1].strip()
        elif SCHEDULER.match(line):
            yield line.strip()


def _last(errors: Sequence[str]) -> str:
    """The last that a program of ours tells, else the last of the scheduler's."""
    own = [e for e in errors if not e.startswith(SECOND_HAND) and (e.startswith("error: ") or not SCHEDULER.match(e))]
    return (own or list(errors) or [""])[-1]


def _tail(log: Path) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(-min(TAIL_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _age(log: Path) -> float:
    """Smallest for the newest."""
    try:
        return -log.stat().st_mtime
    except OSError:
        return 0.0
