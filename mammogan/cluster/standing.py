"""How a stage of a workspace stands: what SLURM says of its jobs, else what its files show."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mammogan.cluster.job_states import CANCELLED, ENDED_WELL, JobState
from mammogan.cluster.log_errors import last_error
from mammogan.cluster.records import Submission
from mammogan.cluster.run_progress import Progress, progress_of
from mammogan.cluster.watch_stages import Watched
from mammogan.training.status import Status

State = Literal["to do", "waiting", "running", "done", "failed", "cancelled", "stopped", "unknown"]
WRONG: tuple[State, ...] = ("failed", "cancelled")
LOOKED_AT = 5
"""Jobs that went wrong whose logs are read: an array that fails as a whole says the same thousands of times."""
ACTIVE_SECONDS = 120.0
"""Files that were written to more recently are being made just now."""


@dataclass(frozen=True)
class Tasks:
    """Those of an array."""

    all: int
    done: int
    running: int
    waiting: int
    failed: tuple[str, ...]
    """What those make that failed, were cancelled or ended without a result."""


@dataclass(frozen=True)
class Standing:
    """One stage at one moment."""

    stage: Watched
    state: State
    told: str
    """The state in SLURM's words where it is a job's, such as PENDING (Resources)."""
    submission: Submission | None = None
    restarts: int = 0
    tasks: Tasks | None = None
    progress: Progress = field(default_factory=Progress)
    shards: tuple[int, int | None] | None = None
    """Made, and of how many where that is known; of stages that make shards."""
    error: str = ""
    log: Path | None = None
    changed: float | None = None
    """When its files changed last; seconds since 1970."""


def standing(stage: Watched, submission: Submission | None, known: Mapping[str, JobState], silent: bool) -> Standing:
    """``known`` are the states of jobs that SLURM tells; ``silent`` when it does not answer."""
    seen = Standing(
        *(stage, "to do", "-", submission),
        progress=progress_of(stage.folder, stage.kind) if stage.trains else Progress(),
        shards=_shards(stage),
        changed=_changed(stage),
    )
    outcomes = _outcomes(submission, known, silent)
    if submission is None or _runs_beside(seen.progress.status, set(outcomes.values())):
        return _without_slurm(seen)
    found = _of_jobs(seen, submission, outcomes, known)
    return found if found.state == "running" else replace(found, progress=replace(found.progress, status=None))


def _runs_beside(status: Status | None, outcomes: set[Outcome]) -> bool:
    """Whether what is heard of a training is not of its jobs: its process is here, or nobody knows how they ended.

    A job that was killed is heard of for a while, and SLURM knows better.
    """
    if status is None or outcomes & {"running", "waiting"}:
        return False
    return status.is_of_this_host or "unknown" in outcomes


Outcome = Literal["waiting", "running", "done", "failed", "cancelled", "lost", "unknown"]
WENT_WRONG: tuple[Outcome, ...] = ("failed", "cancelled", "lost")
"""The first that there is tells most of what went wrong."""


def _outcomes(submission: Submission | None, known: Mapping[str, JobState], silent: bool) -> dict[str, Outcome]:
    """How each job stands. Of one that SLURM has forgotten, its result tells; 'lost' is one that left none."""
    return {job: _outcome(submission, job, known.get(job), silent) for job in submission.jobs} if submission else {}


def _outcome(submission: Submission, job: str, state: JobState | None, silent: bool) -> Outcome:
    if state is None:
        result = submission.result(job)
        return "done" if result == "success" else "failed" if result else "unknown" if silent else "lost"
    if not state.ended:
        return "waiting" if state.waits else "running"
    return "done" if state.word == ENDED_WELL else "cancelled" if state.word in CANCELLED else "failed"


def _of_jobs(
    seen: Standing, submission: Submission, outcomes: Mapping[str, Outcome], known: Mapping[str, JobState]
) -> Standing:
    state = _state(seen.stage, submission, set(outcomes.values()))
    deciding = _with_outcome(outcomes, "lost" if state == "stopped" else state) or list(outcomes)[-1:]
    wrong = next((jobs for how in WENT_WRONG if (jobs := _with_outcome(outcomes, how))), [])
    logs = [log for job in wrong[:LOOKED_AT] or deciding[:1] for log in submission.logs(job)]
    return replace(
        seen,
        state=state,
        told=_told(state, [known[job] for job in deciding if job in known]),
        restarts=max((known[job].restarts for job in outcomes if job in known), default=0),
        tasks=_tasks(submission, outcomes),
        error=_error(seen.stage, state, bool(wrong), logs) if state != "done" else "",
        log=logs[0] if logs else None,
    )


def _state(stage: Watched, submission: Submission, outcomes: set[Outcome]) -> State:
    """Of all its jobs together: what still goes on first, then what went wrong."""
    if "running" in outcomes:
        return "running"
    if "waiting" in outcomes:
        return "waiting"
    if stage.complete.is_file() and (outcomes <= {"done"} or stage.complete.stat().st_mtime >= submission.submitted):
        return "done"
    if "failed" in outcomes or outcomes <= {"done"}:
        return "failed"
    if "cancelled" in outcomes:
        return "cancelled"
    return "stopped" if "lost" in outcomes else "unknown"


def _without_slurm(seen: Standing) -> Standing:
    """Of a stage that ran on this machine, or another, or never."""
    stage, status = seen.stage, seen.progress.status
    said, changed = _mtime(stage.study_log) or 0.0, seen.changed or 0.0
    seen = replace(seen, log=stage.study_log if said else None)
    if status:
        return replace(seen, state="running", told=f"running {'here' if status.is_of_this_host else 'elsewhere'}")
    if stage.complete.is_file():
        return replace(seen, state="done", told="done")
    if said >= changed and (error := last_error([stage.study_log])):
        return replace(seen, state="failed", told="failed", error=error)
    if not stage.trains and time.time() - max(said, changed) < ACTIVE_SECONDS:
        return replace(seen, state="running", told="running here")
    return replace(seen, state="stopped", told="stopped") if changed else seen


def _told(state: State, jobs: Sequence[JobState]) -> str:
    """SLURM's word, with the reason for which a job waits; ours where SLURM has none."""
    if state in ("done", "unknown") or not jobs:
        return {"failed": "FAILED", "stopped": "ended, no result", "unknown": "not known"}.get(state, state)
    return jobs[0].word + (f" ({jobs[0].reason})" if state == "waiting" and jobs[0].reason else "")


def _with_outcome(outcomes: Mapping[str, Outcome], wanted: str) -> list[str]:
    return [job for job, outcome in outcomes.items() if outcome == wanted]


def _error(stage: Watched, state: State, went_wrong: bool, logs: Sequence[Path]) -> str:
    """``logs`` are of what went wrong; of an array that may be a task while others run."""
    if state == "failed" and not went_wrong:
        return f"ended without making {stage.complete}"
    if state == "cancelled" and not logs:
        return "it never began: what it waits for failed, or it was cancelled"
    return last_error(logs) if went_wrong else ""


def _tasks(submission: Submission, outcomes: Mapping[str, Outcome]) -> Tasks | None:
    makes = submission.made_by_task
    if not makes:
        return None
    of = {job: outcomes[job] for job in makes}
    count = list(of.values()).count
    wrong = tuple(makes[job] for job, outcome in of.items() if outcome in WENT_WRONG)
    return Tasks(len(of), count("done"), count("running"), count("waiting"), wrong)


def _shards(stage: Watched) -> tuple[int, int | None] | None:
    """Finished shards, each with a marker; of work on some splits, of as many as the splits have that were begun."""
    if not stage.marks:
        return None
    names = [marker.name for folder in stage.marks for marker in folder.glob("*.json")]
    if stage.complete.is_file():
        return len(names), None
    splits = {name.partition("-")[0] for name in names} or {stage.split}
    return len(names), sum(len(list(real.glob(f"{split}-*.tar"))) for real in stage.sources for split in splits) or None


def _changed(stage: Watched) -> float | None:
    """When what it makes was last written to; None where there is nothing."""
    folders = (stage.folder, *stage.marks)
    files = [stage.folder / name for name in ("metrics.jsonl", "config.yaml", "checkpoints")]
    being_written = (path for folder in folders for path in folder.glob(".*.tmp"))
    places = files if stage.trains else [*folders, *being_written]
    return max((when for place in places if (when := _mtime(place))), default=None)


def _mtime(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
