"""Finds the jobs of a study's stages that are still queued or running."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from mammogan.cluster.slurm.commands import answer_needed
from mammogan.cluster.slurm.queue import JobState, in_squeue
from mammogan.cluster.slurm.submission_record import Submission, submission_of

Tasks = list[JobState]
"""What squeue says about a job, or about all tasks of an array."""


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
    with answer_needed(ids):
        alive = _alive(ids)
    active = {stage: _of_stage(submissions, alive) for stage, submissions in found.items()}
    return {stage: jobs for stage, jobs in active.items() if jobs.job_ids}


def _of_stage(submissions: Sequence[Submission], alive: Mapping[str, Tasks]) -> ActiveJobs:
    live = [submission for submission in submissions if not alive.keys().isdisjoint(submission.job_ids)]
    ids = tuple(number for submission in live for number in submission.job_ids if number in alive)
    completes = all(one.job_ids[-1] in alive and one.job_ids[-1] not in one.arrays for one in live)
    runs = not all(_wait(alive[number]) for number in ids)
    return ActiveJobs(ids, runs, tuple(one.job_ids[-1] for one in live) if completes else (), tuple(live))


def _alive(ids: Sequence[str]) -> dict[str, Tasks]:
    """Return those of our jobs that have not ended and can still begin."""
    known = _ask(ids)
    waited_for = {number for tasks in known.values() for task in tasks for number in task.waits_for}
    known |= _ask(sorted(waited_for - known.keys()))
    never_done = {number for number, tasks in known.items() if any(task.went_wrong for task in tasks)}
    doomed = set[str]()
    while more := {job for job in known.keys() - doomed if _never_begin(known[job], never_done | doomed)}:
        doomed |= more
    return {
        number: known[number]
        for number in ids
        if number in known.keys() - doomed
        and all(task.is_ours for task in known[number])
        and not all(task.ended for task in known[number])
    }


def _wait(tasks: Tasks) -> bool:
    """Return whether some tasks are left and none of them runs."""
    left = [task for task in tasks if not task.ended]
    return bool(left) and all(task.waits for task in left)


def _never_begin(tasks: Tasks, never_done: Set[str]) -> bool:
    """Return whether these tasks wait for a job that failed, or for one that never begins itself."""
    return _wait(tasks) and any(task.never_begins or task.waits_for & never_done for task in tasks)


def _ask(ids: Sequence[str]) -> dict[str, Tasks]:
    """Return what squeue knows about these jobs; the tasks of an array are one job."""
    tasks: dict[str, Tasks] = {}
    for job, state in in_squeue(ids).items():
        tasks.setdefault(job.partition("_")[0], []).append(state)
    return tasks
