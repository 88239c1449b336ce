"""Finds the status of all stages of a workspace, once or again and again on a terminal."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammogan.cluster.slurm.queue import JobStates
from mammogan.cluster.slurm.submission_record import newest_submission
from mammogan.errors import UserError
from mammogan.study.stage_files import StageFiles
from mammogan.watch.stage_status import StageStatus, status_of
from mammogan.watch.stages import stages_of
from mammogan.watch.view import View, seconds_left
from mammogan.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = 2
"""Version of the JSON document. Version 1 called ``message`` told, and the stage evaluate-test evaluate."""


class Watcher:
    """Watches one workspace or several; each look calls squeue at most once for all jobs together."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._jobs = JobStates()
        self._succeeded: set[Path] = set()

    def look(self) -> View:
        """Return the status of all stages of the workspace; UserError when the folder is no workspace."""
        return self.look_at({self.workspace: stages_of(self.workspace)})[0]

    def look_at(self, stages_by_workspace: Mapping[Workspace, Sequence[StageFiles]]) -> list[View]:
        """Return the status of these stages of each workspace."""
        stages = list(stages_by_workspace.values())
        submissions = [[newest_submission(s.records, self._succeeded) for s in found] for found in stages]
        jobs = [job for found in submissions for submission in found if submission for job in submission.jobs]
        known = self._jobs.ask(list(dict.fromkeys(jobs)))
        now, silent, source = time.time(), bool(self._jobs.trouble), self._source() if jobs else "not asked"
        return [
            View(workspace, now, [status_of(*pair, known, silent) for pair in zip(of, by, strict=True)], source)
            for workspace, of, by in zip(stages_by_workspace, stages, submissions, strict=True)
        ]

    def _source(self) -> str:
        return self._jobs.trouble or ("squeue" if self._jobs.accounting else "squeue and sacct")


def live(draw: Callable[[], RenderableType], every: float) -> int:
    """Redraw what ``draw`` returns every ``every`` seconds until Ctrl-C; return exit code 0."""
    from rich.live import Live

    if every < 1:
        raise UserError(f"--every {every:g}: expected 1 second or more, since every update queries squeue")
    try:
        with Live(draw(), auto_refresh=False, vertical_overflow="visible") as screen:
            while True:
                time.sleep(every)
                screen.update(draw(), refresh=True)
    except KeyboardInterrupt:
        return 0


def document(view: View) -> dict[str, Any]:
    """Return what --json prints. Every key is always present, with null (or empty) where there is nothing to report.

    ``schema`` 2, ``workspace``, ``time`` (ISO 8601, UTC), ``slurm`` (where the states of jobs come from, or why there
    are none) and ``stages``, each with:

    name, kind (shards, cad, gan, generate, evaluate; pool, of a cross-validation), resolution (HxW; null of an
                evaluation, of the pooling, and of the stage shards of a study that has none at any resolution yet),
                folder
    state       to do, waiting, running, done, failed, cancelled, stopped (it does not run and can be continued) or
                unknown (it has jobs, and SLURM does not answer)
    message     the same in SLURM's words, with the reason why a job waits: PENDING (Resources); of a CAD that was given
                from outside (--cad), which is done: where it is
    job_ids     as scancel takes them; empty when it was not submitted
    restarts    how often its job went back to the queue
    tasks       of an array: all, done, running, waiting, and failed, the names of the shards
    phase, epoch, epochs   of a training; they count from 1, a GAN's within its phase; epochs is the maximum
    rule        what may end the phase sooner: figure, side (below, above), limit and its value now
    figures     means of the last epoch and the best on validation so far: focal, penalty, validation_auc, best_auc;
                identity, gap, validation_fooled, best_fooled, and critic_alive, false when the critic is dead
    images_per_second, seconds_left    of a running training; seconds_left is the maximum
    shards      of a stage that makes shards: done, and all if it is known
    error       the last error in its logs, one line, of a stage that failed, was cancelled or stopped; or which of its
                records is damaged
    log         file
    usage       the node, GPU and share of it that its last job has, and what it used once it has ended; null if unknown
    waiting_share    of a running training: the share of its time in which it waits for data
    changed     when its files last changed, ISO 8601, UTC
    """
    return {
        "schema": SCHEMA,
        "workspace": str(view.workspace.root),
        "time": _iso(view.time),
        "slurm": view.slurm,
        "stages": [stage_document(status, view.time) for status in view.statuses],
    }


def stage_document(found: StageStatus, now: float) -> dict[str, Any]:
    """Return what --json prints of one stage."""
    stage, progress, status = found.stage, found.progress, found.progress.status
    rule = progress.rule
    return {
        "name": stage.name,
        "kind": stage.kind,
        "resolution": str(stage.resolution) if stage.resolution else None,
        "folder": str(stage.folder),
        "state": found.state,
        "message": found.message,
        "job_ids": list(found.submission.job_ids) if found.submission else [],
        "restarts": found.restarts,
        "tasks": dataclasses.asdict(found.tasks) if found.tasks else None,
        "phase": progress.phase,
        "epoch": progress.epoch,
        "epochs": progress.epochs,
        "rule": {**dataclasses.asdict(rule), "value": progress.figures.get(rule.figure)} if rule else None,
        "figures": progress.figures,
        "images_per_second": status.images_per_second if status else None,
        "seconds_left": seconds_left(found, now),
        "waiting_share": status.waiting_share if status else None,
        "shards": dict(zip(("done", "all"), found.shards, strict=True)) if found.shards else None,
        "error": found.error or None,
        "log": str(found.log) if found.log else None,
        "usage": found.usage or None,
        "changed": _iso(found.changed) if found.changed else None,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
