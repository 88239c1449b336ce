"""Finds the jobs of a study's stages that are still queued or running."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.cluster.slurm.commands import answered
from mammogan.cluster.slurm.queue import JobState, in_squeue
from mammogan.cluster.slurm.submission_record import Submission, submission_of


@dataclass(frozen=True)
class ActiveJobs:
    """The queued or running jobs of one stage."""

    job_ids: tuple[str, ...]
    runs: bool
    """Whether one of them runs; otherwise all are queued."""
    completing: tuple[str, ...]
    """The jobs after which the stage is done; none when an array has tasks left but others of it failed."""
    submissions: tuple[Submission, ...]

    @property
    def in_words(self) -> str:
        """The jobs in words, such as 'job 7, running'."""
        manually = all(submission.requested is None for submission in self.submissions)
        state = f"job {', '.join(self.job_ids)}, {'running' if self.runs else 'queued'}"
        state += ", submitted manually" if manually else ""
        return state if self.completing else f"{state}, and other tasks of it failed: run the command again afterwards"


@dataclass(frozen=True)
class _Queued:
    """What squeue says about a job, or about all tasks of an array."""

    tasks: tuple[JobState, ...]

    @property
    def ended(self) -> bool:
        return all(task.ended for task in self.tasks)

    @property
    def waits(self) -> bool:
        return not self.ended and all(task.ended or task.waits for task in self.tasks)

    @property
    def never_begins(self) -> bool:
        return any(task.never_begins for task in self.tasks)

    @property
    def went_wrong(self) -> bool:
        return any(task.went_wrong for task in self.tasks)

    @property
    def is_ours(self) -> bool:
        return all(task.is_ours for task in self.tasks)

    @property
    def waits_for(self) -> set[str]:
        """Ids of the jobs that it waits for."""
        return {number for task in self.tasks for number in task.waits_for}


def active_jobs(folders: Mapping[str, Collection[Path]]) -> dict[str, ActiveJobs]:
    """Return, by stage, the queued or running jobs that may still do its work.

    ``folders``: where each stage's jobs are recorded. A job that waits for a failed one never begins: SLURM cancels it
    sooner or later, and it is not counted. UserError when SLURM does not answer.
    """
    found = {
        stage: [submission for folder in places if (submission := submission_of(folder))]
        for stage, places in folders.items()
    }
    ids = [number for submissions in found.values() for submission in submissions for number in submission.job_ids]
    if not ids:
        return {}
    with answered(ids):
        alive = _alive(ids)
    active = {stage: _of_stage(submissions, alive) for stage, submissions in found.items()}
    return {stage: jobs for stage, jobs in active.items() if jobs.job_ids}


def _of_stage(submissions: Sequence[Submission], alive: Mapping[str, _Queued]) -> ActiveJobs:
    live = [submission for submission in submissions if not alive.keys().isdisjoint(submission.job_ids)]
    ids = tuple(number for submission in live for number in submission.job_ids if number in alive)
    completes = all(one.job_ids[-1] in alive and one.job_ids[-1] not in one.arrays for one in live)
    runs = any(not alive[number].waits for number in ids)
    return ActiveJobs(ids, runs, tuple(one.job_ids[-1] for one in live) if completes else (), tuple(live))


def _alive(ids: Sequence[str]) -> dict[str, _Queued]:
    """Return those of our jobs that have not ended and can still begin."""
    known = _ask(ids)
    known |= _ask([number for job in known.values() for number in job.waits_for if number not in known])
    went_wrong, doomed = {number for number, job in known.items() if job.went_wrong}, set[str]()
    while more := {
        number
        for number, job in known.items()
        if number not in doomed and job.waits and (job.never_begins or job.waits_for & (went_wrong | doomed))
    }:
        doomed |= more
    alive = {number for number, job in known.items() if job.is_ours and not job.ended and number not in doomed}
    return {number: known[number] for number in ids if number in alive}


def _ask(ids: Sequence[str]) -> dict[str, _Queued]:
    """Return what squeue knows about these jobs; the tasks of an array are one job."""
    tasks: dict[str, list[JobState]] = {}
    for job, state in in_squeue(ids).items():
        tasks.setdefault(job.partition("_")[0], []).append(state)
    return {number: _Queued(tuple(states)) for number, states in tasks.items()}
