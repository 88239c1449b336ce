"""Waits for submitted jobs, and reports how they ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.cluster.slurm.commands import NoAnswer
from mammogan.cluster.slurm.outcome import outcome_of
from mammogan.cluster.slurm.queue import cancelled, queued
from mammogan.io.atomic import is_file
from mammogan.io.terminal import say_on_stderr

POLL_SECONDS = 10.0
"""Pause between two calls of squeue while we wait; the first pauses are shorter."""
FOLDER_LAG_SECONDS = 30.0
"""How late a shared file system may show a file that a node has written."""


@dataclass(frozen=True)
class Submitted:
    """A job that was submitted."""

    job_id: str
    name: str
    log: Path
    outcome: Path
    """File in which it writes how it ended."""
    complete: Path | None
    """File that its work writes last; None where the job that follows checks this."""

    @property
    def succeeded(self) -> bool:
        """Whether the job ended as a success and its work is complete."""
        is_complete = self.complete is None or is_file(self.complete)
        return is_complete and outcome_of(self.outcome) == "success"

    @property
    def failure(self) -> str:
        """Message for a job that did not succeed."""
        if not self.log.exists():
            return f"job {self.job_id} ({self.name}) never started: a job it waits for failed, or it was cancelled"
        return f"job {self.job_id} ({self.name}) did not finish its work; its log: {self.log}"


def ids_in_words(jobs: Sequence[Submitted]) -> str:
    """Return the jobs of one stage in words, such as 'job 12 (3 tasks), then 13'."""
    *tasks, last = jobs
    arrays = dict.fromkeys(task.job_id.partition("_")[0] for task in tasks)
    return f"job {', '.join(arrays)} ({len(tasks)} tasks), then {last.job_id}" if tasks else f"job {last.job_id}"


def waited(submitted: Sequence[Submitted]) -> int:
    """Wait until none of the jobs is in the queue; return 0 when all succeeded, else 1.

    This works without SLURM's accounting: the job's own record of its end and the last file of its work show how.
    """
    ids = list(dict.fromkeys(job.job_id.partition("_")[0] for job in submitted))
    pause = POLL_SECONDS / 10
    while ids and _still_queued(ids):
        time.sleep(pause)
        pause = min(1.2 * pause, POLL_SECONDS)
    deadline = time.monotonic() + FOLDER_LAG_SECONDS
    given_up = cancelled(ids) if ids else set()
    expected = [job.outcome for job in submitted if job.job_id not in given_up]
    while not all(outcome.exists() for outcome in expected) and time.monotonic() < deadline:
        time.sleep(1)
    failed = [job for job in submitted if not job.succeeded]
    for job in failed:
        print(job.failure, file=sys.stderr)
    return 1 if failed else 0


def _still_queued(ids: list[str]) -> bool:
    """Return whether any job is queued or running, or may be, when squeue does not answer."""
    try:
        return bool(queued(ids))
    except NoAnswer as error:
        say_on_stderr(f"{error}; trying again")
        return True
