"""Reads what a submission left in a run folder: launch.json, and in submit/ the logs and outcomes of its jobs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mammogan.cluster.slurm.outcome import ENDING, Outcome, outcome_file, outcome_of
from mammogan.errors import UserError
from mammogan.io.records import DamagedRecord, read_record
from mammogan.workspace import Resolution, Workspace

RECORD = "launch.json"
"""File in a run folder that names the jobs submitted for it."""
SHAPE = {"job_ids": [(str, int)], "submitted": str}
REMEDY = (
    "It names the jobs that work on this folder: see in squeue whether any does, then delete it and repeat the command"
)
LOG = re.compile(r"(\d+(?:_\d+)?)_(\d+)_log\.out")
"""Name of a log file: a job, such as 12 or 12_3, and its rank."""


@dataclass(frozen=True)
class Listing:
    """The files in the folder of a job, or of all tasks of an array."""

    logs: dict[str, list[str]]
    """Names of the log files by job, in the order of its ranks."""
    outcomes: set[str]
    """Names of the files in which jobs wrote how they ended."""

    @classmethod
    def of(cls, folder: Path) -> Listing:
        """List a folder; empty where there is none."""
        try:
            with os.scandir(folder) as found:
                names = [entry.name for entry in found]
        except OSError:
            return cls({}, set())
        logs: dict[str, list[tuple[int, str]]] = {}
        for name in names:
            if match := LOG.fullmatch(name):
                logs.setdefault(match[1], []).append((int(match[2]), name))
        return cls(
            {job: [name for _, name in sorted(of_job)] for job, of_job in logs.items()},
            {name for name in names if name.endswith(ENDING)},
        )


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
    listings: dict[Path, Listing] = field(default_factory=dict, compare=False, repr=False)
    """Folders of jobs, each listed once, however many tasks it has."""

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
        return [self._files(job) / name for name in self._listed(job).logs.get(job, ())]

    def files_of(self, job: str) -> tuple[Path, Path]:
        """Return the paths of the first rank's log and of the job's outcome, whether they exist or not."""
        return self._files(job) / f"{job}_0_log.out", outcome_file(self._files(job), job)

    def outcome(self, job: str) -> Outcome | None:
        """Return how a job ended, as it wrote it itself; None when it wrote nothing, as after a kill."""
        _, path = self.files_of(job)
        if path in self.succeeded:
            return "success"
        if path.name not in self._listed(job).outcomes:
            return None
        how = outcome_of(path)
        if how == "success":
            self.succeeded.add(path)
        return how

    def _listed(self, job: str) -> Listing:
        folder = self._files(job)
        if folder not in self.listings:
            self.listings[folder] = Listing.of(folder)
        return self.listings[folder]

    def _files(self, job: str) -> Path:
        return self.folder / "submit" / job.partition("_")[0]


def folders_of_generate(workspace: Workspace, resolution: Resolution) -> tuple[Path, ...]:
    """Return the folders that may record jobs making adversarial mammograms of this resolution, manual or of a
    study."""
    stage = f"generate-{resolution}{workspace.suffix}"
    return workspace.adversarial(resolution), workspace.root / "study" / stage


def folders_of_evaluate(workspace: Workspace, split: str) -> tuple[Path, ...]:
    """Return the folders that may record jobs scoring mammograms of this split, submitted manually or by a study."""
    return workspace.scores(split), workspace.root / "study" / f"evaluate-{split}"


def newest_submission(folders: Sequence[Path], succeeded: set[Path] | None = None) -> Submission | None:
    """Return the newest submission for any of these folders; a record that cannot be read counts as none.

    ``succeeded`` collects outcomes that are known to be successes, for the next call.
    """
    known = set() if succeeded is None else succeeded
    found = [replace(submission, succeeded=known) for folder in folders if (submission := _understood(folder))]
    return max(found, key=lambda submission: submission.submitted, default=None)


def _understood(folder: Path) -> Submission | None:
    try:
        return submission_of(folder)
    except (UserError, OSError):
        return None


def submission_of(folder: Path) -> Submission | None:
    """Return the last submission for this folder; None where there is none. UserError when its record is damaged, since
    it must be known whether its jobs still work."""
    file = folder / RECORD
    if not file.is_file():
        return None
    record = read_record(file, SHAPE, REMEDY)
    try:
        submitted, arrays = datetime.fromisoformat(record["submitted"]).timestamp(), dict(record.get("arrays", {}))
    except (ValueError, TypeError) as error:
        raise DamagedRecord(file, str(error), REMEDY) from None
    return Submission(folder, tuple(map(str, record["job_ids"])), arrays, submitted, record.get("requested"))
