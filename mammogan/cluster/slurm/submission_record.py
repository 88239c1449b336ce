"""Reads what a submission left in a run folder: launch.json, and in submit/ the logs and outcomes of its jobs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mammogan.cluster.slurm.outcome import ENDING, Outcome, outcome_file, outcome_of
from mammogan.errors import UserError
from mammogan.io.own_files import file_exists
from mammogan.io.records import DamagedRecord, read_record

RECORD = "launch.json"
"""File in a run folder that names the jobs submitted for it."""
SHAPE = {"job_ids": [(str, int)], "submitted": str}
REMEDY = (
    "It names the jobs that work on this folder: see in squeue whether any does, then delete it and repeat the command"
)
LOG = "_log.out"
FILE = re.compile(rf"(\d+(?:_\d+)?)(?:_\d+{re.escape(LOG)}|{re.escape(ENDING)})")
"""Name of the log of a rank, or of an outcome, which begins with its job, such as 12 or 12_3."""


@dataclass(frozen=True)
class Submission:
    """The jobs that were last submitted for one folder."""

    folder: Path
    job_ids: tuple[str, ...]
    """Ids of the jobs, as scancel takes them."""
    arrays: dict[str, list[str]]
    """By job id, what each task of an array makes."""
    submitted: float
    """When they were submitted, in seconds since 1970."""
    requested: dict[str, Any] | None = None
    """The options of a study's stage by name; None for a job that was submitted manually."""
    succeeded: set[Path] = field(default_factory=set, compare=False, repr=False)
    """Outcomes that are known to be successes; they are not read again."""
    listings: dict[Path, dict[str, list[str]]] = field(default_factory=dict, compare=False, repr=False)
    """Folders of jobs, each listed once, however many tasks it has: names of files by job."""

    @property
    def made_by_task(self) -> dict[str, str]:
        """What each task of an array makes, by the task's name such as 12_3; a single task is a job, such as 12."""
        return {
            number if len(makes) == 1 else f"{number}_{task}": made
            for number, makes in self.arrays.items()
            for task, made in enumerate(makes)
        }

    @property
    def jobs(self) -> list[str]:
        """All jobs, with each task of an array."""
        return [*self.made_by_task, *(number for number in self.job_ids if number not in self.arrays)]

    def logs(self, job: str) -> list[Path]:
        """Return the logs of a job's ranks, the first rank's first; logs that were never written are left out."""
        return [self._files(job) / name for name in self._listed(job) if name.endswith(LOG)]

    def files_of(self, job: str) -> tuple[Path, Path]:
        """Return the paths of the first rank's log and of the job's outcome, whether they exist or not."""
        return self._files(job) / f"{job}_0_log.out", outcome_file(self._files(job), job)

    def outcome(self, job: str) -> Outcome | None:
        """Return how a job ended, as it wrote it itself; None when it wrote nothing, as after a kill."""
        _, path = self.files_of(job)
        if path in self.succeeded:
            return "success"
        if path.name not in self._listed(job):
            return None
        how = outcome_of(path)
        if how == "success":
            self.succeeded.add(path)
        return how

    def _listed(self, job: str) -> Sequence[str]:
        """Return the names of a job's logs, the first rank's first, and of its outcome."""
        folder = self._files(job)
        if folder not in self.listings:
            self.listings[folder] = _names_by_job(folder)
        return self.listings[folder].get(job, ())

    def _files(self, job: str) -> Path:
        return self.folder / "submit" / job.partition("_")[0]


def _names_by_job(folder: Path) -> dict[str, list[str]]:
    """Return the names of the logs and outcomes in a folder, by job, in the order of the ranks; none without it."""
    found: dict[str, list[str]] = {}
    with suppress(OSError), os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
        for name in sorted(names, key=lambda name: (len(name), name)):  # rank 10 comes after rank 9
            if match := FILE.fullmatch(name):
                found.setdefault(match[1], []).append(name)
    return found


def newest_submission(folders: Sequence[Path], succeeded: set[Path]) -> Submission | None:
    """Return the newest submission for any of these folders; a record that cannot be read counts as none.

    ``succeeded`` collects outcomes that are known to be successes, for the next call.
    """
    found = []
    for folder in folders:
        with suppress(UserError, OSError):
            found += [submission] if (submission := submission_of(folder)) else []
    newest = max(found, key=lambda submission: submission.submitted, default=None)
    return replace(newest, succeeded=succeeded) if newest else None


def submission_of(folder: Path) -> Submission | None:
    """Return the last submission for this folder; None where there is none. UserError when its record is damaged, since
    it must be known whether its jobs still work."""
    file = folder / RECORD
    if not file_exists(file):
        return None
    record = read_record(file, SHAPE, REMEDY)
    try:
        submitted, arrays = datetime.fromisoformat(record["submitted"]).timestamp(), dict(record.get("arrays", {}))
    except (ValueError, TypeError) as error:
        raise DamagedRecord(file, str(error), REMEDY) from None
    return Submission(folder, tuple(map(str, record["job_ids"])), arrays, submitted, record.get("requested"))
