"""What submission left in a run folder: launch.json, and in submit/ the logs and results of its jobs."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mammogan.cluster.slurm_queue import RECORD
from mammogan.config import Resolution, Workspace
from mammogan.files import read_json

LOG = re.compile(r"(\d+(?:_\d+)?)_(\d+)_log\.out")
"""A job, such as 12 or 12_3, and its rank."""


@dataclass(frozen=True)
class Listing:
    """What lies in the folder of a job, or of all tasks of an array."""

    logs: dict[str, list[str]]
    """By job, in the order of its ranks."""
    results: set[str]

    @classmethod
    def of(cls, folder: Path) -> Listing:
        """Empty where there is no such folder."""
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
            {name for name in names if name.endswith("_result.pkl")},
        )


@dataclass(frozen=True)
class Submission:
    """The jobs that were submitted last for one folder."""

    folder: Path
    job_ids: tuple[str, ...]
    """As scancel takes them."""
    arrays: dict[str, list[str]]
    """Of those that are arrays, what each task makes."""
    submitted: float
    """Seconds since 1970."""
    asks: str | None = None
    """What of the command of a study's stage decides what is made; None by hand."""
    succeeded: set[Path] = field(default_factory=set, compare=False, repr=False)
    """Results that are known to be good, which are not read again."""
    listings: dict[Path, Listing] = field(default_factory=dict, compare=False, repr=False)
    """Folders of jobs, each looked into once however many tasks it has."""

    @property
    def made_by_task(self) -> dict[str, str]:
        """What each task of an array makes, by its name, such as 12_3; a single one is a job, such as 12."""
        return {
            number if len(makes) == 1 else f"{number}_{task}": made
            for number, makes in self.arrays.items()
            for task, made in enumerate(makes)
        }

    @property
    def jobs(self) -> list[str]:
        """All of them, an array's tasks one by one."""
        return [*self.made_by_task, *(number for number in self.job_ids if number not in self.arrays)]

    def logs(self, job: str) -> list[Path]:
        """Of its ranks, the first one's first; what was never written is left out."""
        return [self._files(job) / name for name in self._listed(job).logs.get(job, ())]

    def files_of(self, job: str) -> tuple[Path, Path]:
        """The log of its first rank, and its result, whether they are there or not."""
        return self._files(job) / f"{job}_0_log.out", self._files(job) / f"{job}_0_result.pkl"

    def result(self, job: str) -> str | None:
        """'success' or 'error' as submitit wrote it at the end; None when it has not, as after a kill."""
        _, path = self.files_of(job)
        if path in self.succeeded:
            return "success"
        if path.name not in self._listed(job).results:
            return None
        try:
            how: str = pickle.loads(path.read_bytes())[0]
        except Exception:  # what a damaged pickle makes Python raise is no fixed set
            return None
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


def of_altering(workspace: Workspace, resolution: Resolution) -> tuple[Path, ...]:
    """Folders in which jobs are recorded that alter mammograms of this resolution, submitted by hand or by a study."""
    stage = f"generate-{resolution}{workspace.suffix}"
    return workspace.adversarial(resolution), workspace.root / "study" / stage


def of_scoring(workspace: Workspace, split: str) -> tuple[Path, ...]:
    """Folders in which jobs are recorded that score mammograms of this split, submitted by hand or by a study."""
    study = workspace.root / "study"
    names = [f"evaluate-{split}", *(["evaluate"] if split == split_of_study(workspace) else [])]
    return workspace.scores(split), *(study / name for name in names)


def split_of_study(workspace: Workspace) -> str:
    """Which split the stage 'evaluate' is about, as a study's is called that evaluates one alone: it may be any."""
    folder = workspace.root / "study" / "evaluate"
    submission, kept = submission_of(folder), folder.with_name("evaluate.command")
    asks = (submission.asks or "") if submission else kept.read_text(encoding="utf-8") if kept.is_file() else ""
    found = re.search(r"--split[ =](\w+)", asks)
    return found[1] if found else "test"


def newest_submission(folders: Sequence[Path], succeeded: set[Path] | None = None) -> Submission | None:
    """The last that was made for one of these folders; a record that cannot be read counts as none.

    ``succeeded`` keeps from one look to the next which results are known to be good.
    """
    known = set() if succeeded is None else succeeded
    found = [replace(submission, succeeded=known) for folder in folders if (submission := submission_of(folder))]
    return max(found, key=lambda submission: submission.submitted, default=None)


def submission_of(folder: Path) -> Submission | None:
    """The last that was made for this folder; None where there is none, or its record cannot be read."""
    try:
        record: dict[str, Any] = read_json(folder / RECORD)
        submitted = datetime.fromisoformat(record["submitted"]).timestamp()
        ids, arrays = tuple(map(str, record["job_ids"])), dict(record.get("arrays", {}))
        return Submission(folder, ids, arrays, submitted, record.get("asks"))
    except (OSError, ValueError, TypeError, KeyError):
        return None
