"""How a job ended, in a JSON file of our own beside its log: nothing in a workspace is unpickled in order to look.

submitit writes the same as a pickle, and reading a pickle runs what is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mammogan.cluster.slurm.this_job import this_job
from mammogan.cluster.tasks import Task
from mammogan.errors import UserError
from mammogan.io.records import read_record, write_record

Outcome = Literal["success", "error"]
ENDING = "_outcome.json"
"""The files' names are a job, such as 12 or 12_3, and this."""


@dataclass(frozen=True)
class Recorded(Task):
    """A task whose first rank records how it ended. A job that goes back to the queue has not ended."""

    task: Task

    def __call__(self) -> None:
        file = _of_this_rank()
        if file is None:
            self.task()
            return
        file.unlink(missing_ok=True)  # of the start before, when the job was requeued
        try:
            self.task()
        except Exception as error:
            write_record(file, {"outcome": "error", "error": f"{type(error).__name__}: {error}"})
            raise
        write_record(file, {"outcome": "success"})


def outcome_file(folder: Path, job: str) -> Path:
    """Return the file in which a job or a task of an array says how it ended; ``folder`` is that of its log."""
    return folder / f"{job}{ENDING}"


def outcome_of(file: Path) -> Outcome | None:
    """Return how a job ended; None when it wrote nothing, as after a kill, or its file is damaged."""
    try:
        values: dict[str, Any] = read_record(file, {"outcome": str})
    except (UserError, OSError):
        return None
    return "success" if values["outcome"] == "success" else "error"


def _of_this_rank() -> Path | None:
    """Return the file of this job; None outside submitit's jobs, and for all ranks but the first."""
    job = this_job()
    return outcome_file(job.paths.folder, job.job_id) if job and job.global_rank == 0 else None
