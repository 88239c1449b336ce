"""Jobs that were submitted: how they are told, and how they end."""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.cluster.slurm_queue import NoAnswer, cancelled, queued
from mammogan.cluster.where import note

POLL_SECONDS = 10.0
"""Between two questions to SLURM while we wait; the first are asked sooner."""
FOLDER_LAG_SECONDS = 30.0
"""How late a shared file system may show what a node has written."""


@dataclass(frozen=True)
class Submitted:
    job_id: str
    name: str
    log: Path
    result: Path
    """Where submitit writes how it ended."""
    complete: Path | None
    """What its work writes last; None where the job that follows looks at that."""

    @property
    def succeeded(self) -> bool:
        if not self.result.exists() or (self.complete and not self.complete.exists()):
            return False
        return bool(pickle.loads(self.result.read_bytes())[0] == "success")

    @property
    def failure(self) -> str:
        if not self.log.exists():
            return f"job {self.job_id} ({self.name}) never began: what it waits for failed, or it was cancelled"
        return f"job {self.job_id} ({self.name}) did not finish its work; its log: {self.log}"


def ids_told(jobs: Sequence[Submitted]) -> str:
    """The jobs of one stage, such as 'job 12 (3 tasks), then 13'."""
    *tasks, last = jobs
    arrays = dict.fromkeys(task.job_id.partition("_")[0] for task in tasks)
    return f"job {', '.join(arrays)} ({len(tasks)} tasks), then {last.job_id}" if tasks else f"job {last.job_id}"


def waited(submitted: Sequence[Submitted]) -> int:
    """Wait until the queue holds none of the jobs; 0 when all did well, else 1.

    Works without SLURM's accounting: files say how it went, the job's result and the work's own last one.
    """
    ids = list(dict.fromkeys(job.job_id.partition("_")[0] for job in submitted))
    pause = POLL_SECONDS / 10
    while ids and _still_queued(ids):
        time.sleep(pause)
        pause = min(1.2 * pause, POLL_SECONDS)
    deadline = time.monotonic() + FOLDER_LAG_SECONDS
    given_up = cancelled(ids) if ids else set()
    expected = [job.result for job in submitted if job.job_id not in given_up]
    while not all(result.exists() for result in expected) and time.monotonic() < deadline:
        time.sleep(1)
    failed = [job for job in submitted if not job.succeeded]
    for job in failed:
        print(job.failure, file=sys.stderr)
    return 1 if failed else 0


def _still_queued(ids: list[str]) -> bool:
    """Whether any of the jobs is still waiting or running, or may be, since nobody answers."""
    try:
        return bool(queued(ids))
    except NoAnswer as error:
        note(f"{error}; asking again")
        return True
