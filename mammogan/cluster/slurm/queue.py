"""Reads the states of jobs from squeue, and of jobs that it no longer lists from sacct, where that answers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mammogan.cluster.slurm.commands import OUR_NAMES, asked
from mammogan.errors import UserError

COLUMNS = {"JobArrayID": 40, "State": 24, "Reason": 80, "RestartCnt": 12, "Name": 200}
"""Columns of squeue with their widths. Fixed widths are needed since reasons contain blanks."""
ENDED_WELL = "COMPLETED"
FAILED = {"FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "PREEMPTED"}
CANCELLED = {"CANCELLED", "REVOKED"}
WAITING = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
"""States of jobs that wait. A job whose state is in none of these sets runs, as with CONFIGURING, COMPLETING,
SUSPENDED."""
PAUSE_SECONDS = 300.0
"""How long sacct is left alone after it failed: without accounting it always fails, at some sites after a long time."""


@dataclass(frozen=True)
class JobState:
    """The state of a job, or of one task of an array."""

    word: str
    """SLURM's word for the state, such as RUNNING."""
    reason: str = ""
    """Why it waits, such as Dependency."""
    restarts: int = 0

    @property
    def ended(self) -> bool:
        """Whether the job succeeded, failed or was cancelled."""
        return self.word == ENDED_WELL or self.word in FAILED | CANCELLED

    @property
    def waits(self) -> bool:
        return self.word in WAITING


class JobStates:
    """Asks SLURM for states of jobs: squeue at each call of ``ask``, sacct once for each job that has ended."""

    def __init__(self) -> None:
        self._ended: dict[str, JobState] = {}
        self.trouble = ""
        """Why squeue does not answer; empty when it does or was not used."""
        self.accounting = ""
        """Why sacct did not answer last time; empty when it did."""
        self._sacct_from = 0.0

    def ask(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return states by job, each named as 12 or 12_3; jobs that SLURM does not know, or no longer knows, are left
        out."""
        found = self._from_squeue(jobs)
        found = {job: state for job in jobs if (state := found.get(job) or self._ended.get(job))}
        if not self.trouble and time.monotonic() >= self._sacct_from:
            told = self._from_sacct([job for job in jobs if job not in found])
            self._ended |= {job: state for job, state in told.items() if state.ended}
            found |= {job: told[job] for job in jobs if job in told and job not in found}
        return found

    def _from_squeue(self, jobs: Sequence[str]) -> dict[str, JobState]:
        columns = ",".join(f"{name}:{width}" for name, width in COLUMNS.items())
        words = ("squeue", "--noheader", "--array", "--states=all", f"--Format={columns}")
        self.trouble, shown = _told(*words, jobs=jobs)
        rows = (_cut(line) for line in shown.splitlines())
        return {
            job: JobState(state, "" if reason == "None" else reason, int(restarts) if restarts.isdigit() else 0)
            for job, state, reason, restarts, name in rows
            if name.startswith(OUR_NAMES)
        }

    def _from_sacct(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return states by job. A job that went back to the queue has a row for each start; the last row counts."""
        words = ("sacct", "--noheader", "--parsable2", "--allocations", "--duplicates", "--format=JobID,State,JobName")
        self.accounting, shown = _told(*words, jobs=jobs)
        if self.accounting:
            self._sacct_from = time.monotonic() + PAUSE_SECONDS
        rows = [line.split("|", 2) for line in shown.splitlines() if line.count("|") >= 2]
        ours = [(job, state.split()[0]) for job, state, name in rows if name.startswith(OUR_NAMES) and state]
        starts = Counter(job for job, _ in ours)
        return {job: JobState(state, restarts=starts[job] - 1) for job, state in ours}


def _told(*words: str, jobs: Sequence[str]) -> tuple[str, str]:
    """Return why a command failed, and what it printed about these jobs; one of both is empty. Without jobs it does not
    run."""
    if not jobs:
        return "", ""
    numbers = dict.fromkeys(job.partition("_")[0] for job in jobs)
    try:
        return "", asked(*words, f"--jobs={','.join(numbers)}", fine="Invalid job id")
    except UserError as error:
        return str(error), ""


def _cut(line: str) -> Iterator[str]:
    """Yield the columns of one of squeue's lines."""
    start = 0
    for width in COLUMNS.values():
        yield line[start : start + width].strip()
        start += width
