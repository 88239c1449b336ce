"""Reads the states of jobs from squeue, and of jobs that it no longer lists from sacct, where that answers.

No other module reads what these two print.
"""

from __future__ import annotations

import getpass
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mammogan.cluster.slurm.commands import OUR_NAMES, answer_needed, output_of
from mammogan.cluster.slurm.submission_record import submission_of
from mammogan.errors import UserError

COLUMNS = {
    "JobArrayID": 40,
    "State": 24,
    "Reason": 80,
    "RestartCnt": 12,
    "Name": 200,
    "Dependency": 1000,
    "Partition": 80,
    "Account": 80,
    "QOS": 80,
    "TimeLimit": 24,
    "Command": 1000,
}
"""Columns of squeue with their widths. Fixed widths are needed since reasons contain blanks."""
GRANTED = {"Partition": "partition", "Account": "account", "QOS": "QOS", "TimeLimit": "time"}
"""Columns that say what a job was given, and what we call them."""
SOON_SECONDS = 10.0
"""How long an answer that is only for information may take."""
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
    is_ours: bool = True
    """Whether it has one of our names or scripts: another cluster, or this one years later, gives its number to another
    job."""
    dependency: str = ""
    """The jobs that it waits for, as squeue prints them, such as afterok:12(unfulfilled)."""
    granted: dict[str, str] = field(default_factory=dict)
    """Its partition, account, QOS and time limit."""
    script: str = ""
    """The file that sbatch was given."""

    @property
    def ended(self) -> bool:
        """Whether the job succeeded, failed or was cancelled."""
        return self.word == ENDED_WELL or self.word in FAILED | CANCELLED

    @property
    def waits(self) -> bool:
        return self.word in WAITING

    @property
    def went_wrong(self) -> bool:
        return self.word in FAILED | CANCELLED

    @property
    def waits_for(self) -> set[str]:
        """Ids of the jobs that it waits for."""
        return set(re.findall(r":(\d+)", self.dependency))

    @property
    def never_begins(self) -> bool:
        """Whether SLURM says that a job it waits for failed."""
        return self.reason == "DependencyNeverSatisfied" or "(failed)" in self.dependency


def in_squeue(jobs: Sequence[str]) -> dict[str, JobState]:
    """Return what squeue knows of these jobs, including those that have just ended, by job and task, such as 12 or
    12_3.

    UserError when it fails, NoAnswer when another try may succeed.
    """
    return _rows(_of_jobs(jobs), "--states=all") if jobs else {}


def jobs_of_scripts(scripts: Sequence[Path]) -> list[str]:
    """Return the numbers of this user's queued or running jobs that were submitted with one of these scripts."""
    names = {script.name for script in scripts}
    found = _rows(f"--user={getpass.getuser()}")
    return list(
        dict.fromkeys(job.partition("_")[0] for job, state in found.items() if Path(state.script).name in names)
    )


def granted(job: str) -> dict[str, str]:
    """Return what SLURM gave a job that was just submitted: partition, account, QOS and time limit. Empty where it does
    not answer soon."""
    try:
        return next((state.granted for state in _rows(_of_jobs([job]), seconds=SOON_SECONDS).values()), {})
    except UserError:
        return {}


def _rows(*which: str, seconds: float | None = None) -> dict[str, JobState]:
    columns = ",".join(f"{name}:{width}" for name, width in COLUMNS.items())
    words = ("squeue", "--noheader", "--array", f"--Format={columns}", *which)
    shown = output_of(*words, fine="Invalid job id", seconds=seconds)
    rows = [dict(zip(COLUMNS, _cut(line), strict=True)) for line in shown.splitlines() if line.strip()]
    return {row["JobArrayID"]: _state(row) for row in rows}


def _state(row: Mapping[str, str]) -> JobState:
    return JobState(
        word=row["State"],
        reason="" if row["Reason"] == "None" else row["Reason"],
        restarts=int(row["RestartCnt"]) if row["RestartCnt"].isdigit() else 0,
        is_ours=row["Name"].startswith(OUR_NAMES) or ".submission_file_" in row["Command"],
        dependency="" if row["Dependency"] == "(null)" else row["Dependency"],
        granted={said: row[name] for name, said in GRANTED.items() if row[name]},
        script=row["Command"],
    )


def queued(jobs: Sequence[str]) -> list[str]:
    """Return those of our jobs that are queued or running; a job that SLURM no longer knows is left out."""
    alive = {job.partition("_")[0] for job, state in in_squeue(jobs).items() if state.is_ours and not state.ended}
    return [number for number in dict.fromkeys(jobs) if number in alive]


def cancelled(jobs: Sequence[str]) -> set[str]:
    """Return those of our jobs, and of the tasks of arrays (such as 12_3), that SLURM still knows as cancelled: by a
    person, or because a job they waited for failed. Empty when SLURM does not answer."""
    try:
        return {job for job, state in in_squeue(jobs).items() if state.is_ours and state.word in CANCELLED}
    except UserError:
        return set()


def refuse_queued(runs: Mapping[Path, str]) -> None:
    """Raise UserError when jobs recorded in these folders are still queued or running: two jobs would write the same
    files.

    ``runs``: the name shown for each folder.
    """
    found = {name: submission for run, name in runs.items() if (submission := submission_of(run))}
    submitted = {number: name for name, submission in found.items() for number in submission.job_ids}
    if not submitted:
        return
    with answer_needed(submitted):
        alive = queued(list(submitted))
    if alive:
        which = ", ".join(f"{number} ({submitted[number]})" for number in alive)
        raise UserError(
            f"submitted before and still queued or running: job {which}. Wait until that ends, or cancel it with\n"
            f"  scancel {' '.join(alive)}"
        )


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
            accounted = self._from_sacct([job for job in jobs if job not in found])
            self._ended |= {job: state for job, state in accounted.items() if state.ended}
            found |= {job: accounted[job] for job in jobs if job in accounted and job not in found}
        return found

    def _from_squeue(self, jobs: Sequence[str]) -> dict[str, JobState]:
        self.trouble = ""
        try:
            return {job: state for job, state in in_squeue(jobs).items() if state.is_ours}
        except UserError as error:
            self.trouble = str(error)
            return {}

    def _from_sacct(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return states by job. A job that went back to the queue has a row for each start; the last row counts."""
        self.accounting = ""
        if not jobs:
            return {}
        words = ("sacct", "--noheader", "--parsable2", "--allocations", "--duplicates", "--format=JobID,State,JobName")
        try:
            shown = output_of(*words, _of_jobs(jobs), fine="Invalid job id")
        except UserError as error:
            self.accounting, self._sacct_from = str(error), time.monotonic() + PAUSE_SECONDS
            return {}
        rows = [line.split("|", 2) for line in shown.splitlines() if line.count("|") >= 2]
        ours = [(job, state.split()[0]) for job, state, name in rows if name.startswith(OUR_NAMES) and state]
        starts = Counter(job for job, _ in ours)
        return {job: JobState(state, restarts=starts[job] - 1) for job, state in ours}


def _of_jobs(jobs: Sequence[str]) -> str:
    """Return the option that names these jobs; tasks are named by their array."""
    return f"--jobs={','.join(dict.fromkeys(job.partition('_')[0] for job in jobs))}"


def _cut(line: str) -> Iterator[str]:
    """Yield the columns of one of squeue's lines."""
    start = 0
    for width in COLUMNS.values():
        yield line[start : start + width].strip()
        start += width
