"""Finds the jobs of a study's stages that are still queued or running."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.cluster.slurm.commands import OUR_NAMES, answered, asked
from mammogan.cluster.slurm.queue import CANCELLED, ENDED_WELL, FAILED, WAITING
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
    def told(self) -> str:
        """The jobs in words, such as 'job 7, running'."""
        by_hand = ", submitted manually" if all(submission.asks is None for submission in self.submissions) else ""
        state = f"job {', '.join(self.job_ids)}, {'running' if self.runs else 'queued'}{by_hand}"
        return state if self.completing else f"{state}, and other tasks of it failed: run the command again afterwards"


@dataclass(frozen=True)
class _Queued:
    """What squeue says about a job, or about all tasks of an array."""

    states: frozenset[str]
    never: bool
    """SLURM says that a job it waits for failed."""
    waits_for: frozenset[str]
    """Ids of the jobs that it waits for."""
    ours: bool
    """Whether its name is one of our names."""

    @property
    def ended(self) -> bool:
        return self.states <= {ENDED_WELL, *FAILED, *CANCELLED}

    @property
    def waits(self) -> bool:
        return not self.ended and self.states <= {*WAITING, ENDED_WELL, *FAILED, *CANCELLED}

    @property
    def failed(self) -> bool:
        return bool(self.states & (FAILED | CANCELLED))


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
    told = {stage: _of_stage(submissions, alive) for stage, submissions in found.items()}
    return {stage: jobs for stage, jobs in told.items() if jobs.job_ids}


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
    doomed: set[str] = set()
    while more := {
        number
        for number, job in known.items()
        if number not in doomed and job.waits and (job.never or any(_fails(known, doomed, on) for on in job.waits_for))
    }:
        doomed |= more
    return {number: known[number] for number in ids if number in known and _goes_on(known[number], number in doomed)}


def _goes_on(job: _Queued, doomed: bool) -> bool:
    return job.ours and not job.ended and not doomed


def _fails(known: Mapping[str, _Queued], doomed: set[str], number: str) -> bool:
    return number in doomed or (number in known and known[number].failed)


def _ask(ids: Sequence[str]) -> dict[str, _Queued]:
    """Return what squeue knows about these jobs, including those that have just ended."""
    if not ids:
        return {}
    words = ("squeue", "--noheader", "--states=all", "--format=%i|%T|%r|%E|%j", f"--jobs={','.join(ids)}")
    rows: dict[str, list[list[str]]] = {}
    for line in asked(*words, fine="Invalid job id").splitlines():
        if line.count("|") >= 4:
            number, *told = line.strip().split("|", 4)
            rows.setdefault(number.partition("_")[0], []).append(told)
    return {number: _queued(told) for number, told in rows.items()}


def _queued(rows: Sequence[Sequence[str]]) -> _Queued:
    waits_for = {number for _, _, on, _ in rows for number in re.findall(r":(\d+)", on)}
    return _Queued(
        frozenset(state for state, *_ in rows),
        any(reason == "DependencyNeverSatisfied" or "(failed)" in on for _, reason, on, _ in rows),
        frozenset(waits_for),
        all(name.startswith(OUR_NAMES) for *_, name in rows),
    )
