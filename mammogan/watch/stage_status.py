"""Finds the status of a stage: from what SLURM says about its jobs, else from its files.

A stage that ran without a job and trains nothing counts as running while its files are younger than ACTIVE_SECONDS.
Trainings say themselves that they run: see mammogan/training/run/status.py.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mammogan.cluster.slurm.queue import CANCELLED, ENDED_WELL, JobState
from mammogan.cluster.slurm.submission_record import Submission, submission_of
from mammogan.cluster.usage import read_usage
from mammogan.errors import UserError
from mammogan.io.own_files import file_exists
from mammogan.left_by_others import ours_in
from mammogan.study.stage_files import StageFiles
from mammogan.training.run.run_folder import Run
from mammogan.training.run.status import Status
from mammogan.watch.log_errors import last_error, written_at
from mammogan.watch.training_progress import Progress, progress_of

State = Literal["to do", "waiting", "running", "done", "failed", "cancelled", "stopped", "unknown"]
WRONG: tuple[State, ...] = ("failed", "cancelled")
"""States for which the exit code of mammogan watch is 1."""
LOOKED_AT = 5
"""Most failed jobs whose logs are read: when all tasks of an array fail, their logs say the same thousands of times."""
ACTIVE_SECONDS = 120.0
"""Files that were written less than this ago count as being made now."""


@dataclass(frozen=True)
class Tasks:
    """How many tasks of an array are in each state."""

    all: int
    done: int
    running: int
    waiting: int
    failed: tuple[str, ...]
    """Names of what the tasks make that failed, were cancelled or ended without a result."""


@dataclass(frozen=True)
class StageStatus:
    """The status of one stage at one moment."""

    stage: StageFiles
    state: State
    message: str
    """The state in SLURM's words if it is a job's, such as PENDING (Resources)."""
    submission: Submission | None = None
    restarts: int = 0
    tasks: Tasks | None = None
    progress: Progress = field(default_factory=Progress)
    shards: tuple[int, int | None] | None = None
    """Of stages that make shards: the number that is finished, and the number of all if it is known."""
    error: str = ""
    """The last error in its logs, one line; else which of its records is damaged."""
    log: Path | None = None
    usage: str = ""
    """On which node its last job ran, and what it used of what was asked for, once it has ended."""
    changed: float | None = None
    """When its files last changed, in seconds since 1970."""


def status_of(
    stage: StageFiles, submission: Submission | None, known: Mapping[str, JobState], silent: bool
) -> StageStatus:
    """Return the status of a stage.

    ``known``: states of jobs from SLURM; ``silent``: whether SLURM does not answer.
    """
    if stage.given:
        return StageStatus(stage, "done", f"given: {stage.given}")
    if stage.damage:
        return StageStatus(stage, "failed", "FAILED", submission, error=stage.damage)
    try:
        done = file_exists(stage.complete)
    except UserError as error:
        return StageStatus(stage, "failed", "FAILED", submission, error=str(error), changed=_changed(stage))
    seen = StageStatus(
        *(stage, "done" if done else "to do", "-", submission),
        progress=progress_of(stage.folder, stage.kind, done) if stage.trains else Progress(),
        shards=_shards(stage, done),
        changed=_changed(stage),
    )
    outcomes = _outcomes(submission, known, silent)
    if submission is None or _runs_beside(seen.progress.status, set(outcomes.values())):
        found = _without_slurm(seen)
    else:
        found = _of_jobs(seen, submission, outcomes, known)
        if found.state != "running":
            found = replace(found, progress=replace(found.progress, status=None))
    return replace(found, error=found.error or _damage(seen))


def _damage(seen: StageStatus) -> str:
    """Return what is damaged of the records from which nothing could be read: a training's settings, and the jobs that
    were submitted; empty if nothing is."""
    try:
        if seen.stage.trains and seen.progress == Progress():
            Run(seen.stage.folder).settings  # noqa: B018
        for folder in seen.stage.records if seen.submission is None else ():
            submission_of(folder)
    except (UserError, OSError) as error:
        return str(error)
    return ""


def _runs_beside(status: Status | None, outcomes: set[Outcome]) -> bool:
    """Return whether a training's status file comes from a process that is none of its jobs.

    That is so when the process is on this host, or when nobody knows how the jobs ended. A job that was killed leaves
    its status file for a while; then SLURM knows better.
    """
    if status is None or outcomes & {"running", "waiting"}:
        return False
    return status.is_of_this_host or "unknown" in outcomes


Outcome = Literal["waiting", "running", "done", "failed", "cancelled", "lost", "unknown"]
WENT_WRONG: tuple[Outcome, ...] = ("failed", "cancelled", "lost")
"""Outcomes of jobs that went wrong, the most informative first."""


def _outcomes(submission: Submission | None, known: Mapping[str, JobState], silent: bool) -> dict[str, Outcome]:
    """Return the outcome of each job. If SLURM has forgotten it, what it wrote at its end decides; 'lost' means
    that it wrote nothing."""
    return {job: _outcome(submission, job, known.get(job), silent) for job in submission.jobs} if submission else {}


def _outcome(submission: Submission, job: str, state: JobState | None, silent: bool) -> Outcome:
    if state is None:
        how = submission.outcome(job)
        return "done" if how == "success" else "failed" if how else "unknown" if silent else "lost"
    if not state.ended:
        return "waiting" if state.waits else "running"
    return "done" if state.word == ENDED_WELL else "cancelled" if state.word in CANCELLED else "failed"


def _of_jobs(
    seen: StageStatus, submission: Submission, outcomes: Mapping[str, Outcome], known: Mapping[str, JobState]
) -> StageStatus:
    """Return the status of a stage from the outcomes of its jobs. ``seen``: what its files say, done or to do."""
    state = _state(seen, submission, set(outcomes.values()))
    deciding = _with_outcome(outcomes, "lost" if state == "stopped" else state) or list(outcomes)[-1:]
    wrong = next((jobs for how in WENT_WRONG if (jobs := _with_outcome(outcomes, how))), [])
    looked_at = wrong[:LOOKED_AT] or deciding[:1]
    logs = [log for job in looked_at for log in submission.logs(job)]
    expected = submission.files_of(looked_at[0])[0] if looked_at and state == "failed" else None
    return replace(
        seen,
        state=state,
        message=_message(state, [known[job] for job in deciding if job in known]),
        restarts=max((known[job].restarts for job in outcomes if job in known), default=0),
        tasks=_tasks(submission, outcomes),
        error=_error(seen.stage, state, bool(wrong), logs) if state != "done" else "",
        log=logs[0] if logs else expected,
        usage=read_usage(submission.files_of(list(outcomes)[-1])[0]) if outcomes else "",
    )


def _state(seen: StageStatus, submission: Submission, outcomes: set[Outcome]) -> State:
    """Return the state of all jobs together: what still runs or waits decides first, then what went wrong."""
    if "running" in outcomes:
        return "running"
    if "waiting" in outcomes:
        return "waiting"
    if seen.state == "done" and (outcomes <= {"done"} or written_at(seen.stage.complete) >= submission.submitted):
        return "done"
    if "failed" in outcomes or outcomes <= {"done"}:
        return "failed"
    if "cancelled" in outcomes:
        return "cancelled"
    return "stopped" if "lost" in outcomes else "unknown"


def _without_slurm(seen: StageStatus) -> StageStatus:
    """Return the status of a stage that ran without a job: on this machine, on another one, or never."""
    stage, status = seen.stage, seen.progress.status
    said, changed = written_at(stage.log), seen.changed or 0.0
    seen = replace(seen, log=stage.log if said else None)
    if status:
        return replace(seen, state="running", message=f"running {'here' if status.is_of_this_host else 'elsewhere'}")
    is_kept = seen.state == "done" and stage.kind != "pool"  # a pooled table stays while it is made again
    error = last_error([stage.log]) if said >= changed and not is_kept else ""
    if error:
        return replace(seen, state="failed", message="failed", error=error)
    if seen.state == "done":
        return replace(seen, message="done")
    if not stage.trains and time.time() - max(said, changed) < ACTIVE_SECONDS:
        return replace(seen, state="running", message="running here")
    return replace(seen, state="stopped", message="stopped") if changed else seen


def _message(state: State, jobs: Sequence[JobState]) -> str:
    """Return SLURM's word with the reason why a job waits, or our own word where SLURM has none."""
    if state in ("done", "unknown") or not jobs:
        return {"failed": "FAILED", "stopped": "ended, no result", "unknown": "not known"}.get(state, state)
    return jobs[0].word + (f" ({jobs[0].reason})" if state == "waiting" and jobs[0].reason else "")


def _with_outcome(outcomes: Mapping[str, Outcome], wanted: str) -> list[str]:
    return [job for job, outcome in outcomes.items() if outcome == wanted]


def _error(stage: StageFiles, state: State, went_wrong: bool, logs: Sequence[Path]) -> str:
    """Return the error of a stage. ``logs`` belong to what went wrong; in an array that may be one task while others
    run."""
    if state == "failed" and not went_wrong:
        return f"ended without making {stage.complete}"
    if state == "cancelled" and not logs:
        return "it never started: a job it waits for failed, or it was cancelled"
    if state == "failed" and not logs:
        return "it wrote no log: does its node see the workspace, under the same path?"
    return last_error(logs) if went_wrong else ""


def _tasks(submission: Submission, outcomes: Mapping[str, Outcome]) -> Tasks | None:
    """Return the states of an array's tasks; None when the stage has no array."""
    makes = submission.made_by_task
    if not makes:
        return None
    of = {job: outcomes[job] for job in makes}
    count = list(of.values()).count
    wrong = tuple(makes[job] for job, outcome in of.items() if outcome in WENT_WRONG)
    return Tasks(len(of), count("done"), count("running"), count("waiting"), wrong)


def _shards(stage: StageFiles, done: bool) -> tuple[int, int | None] | None:
    """Return the number of finished shards, each of which has a marker, and the number of all.

    For work on some splits, all shards are those of the splits that were begun.
    """
    if not stage.marks:
        return None
    names = [marker.name for folder in stage.marks for marker in ours_in(folder, "*.json")]
    if done:
        return len(names), None
    splits = {name.partition("-")[0] for name in names} or {stage.split}
    return len(names), sum(len(ours_in(real, f"{split}-*.tar")) for real in stage.sources for split in splits) or None


def _changed(stage: StageFiles) -> float | None:
    """Return when the stage's files were last written; None where there are none."""
    folders = (stage.folder, *stage.marks)
    files = [stage.folder / name for name in ("metrics.jsonl", "config.yaml", "checkpoints")]
    being_written = (path for folder in folders for path in folder.glob(".*.tmp"))
    places = files if stage.trains else [*folders, *being_written]
    return max(map(written_at, places)) or None
