"""Shows the studies of a cross-validation, one line for each, and the pooling after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mammogan.crossvalidation.fold_study import pool_files, pooled_table, study_folders
from mammogan.errors import UserError
from mammogan.io.terminal import duration, in_columns
from mammogan.watch.stage_status import WRONG, StageStatus
from mammogan.watch.stages import stages_of
from mammogan.watch.table import what_went_wrong
from mammogan.watch.view import View, seconds_left
from mammogan.watch.watch import SCHEMA, Watcher, document, stage_document
from mammogan.workspace import Workspace

HEADS = ("study", "stages", "now", "left")
SHOWN = 3
"""Most stages of a study that are named."""


@dataclass(frozen=True)
class Status:
    """The status of a cross-validation at one moment."""

    studies: Sequence[View]
    pooling: View
    """The stage that pools all studies, alone."""

    @property
    def exit_code(self) -> int:
        """Exit code of mammogan watch: 1 when a stage has failed or was cancelled, else 0."""
        return max(view.exit_code for view in (*self.studies, self.pooling))


class Overview:
    """Watches all studies of a cross-validation that have begun, and the pooling; each look calls squeue at most
    once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._watcher = Watcher(Workspace(root))

    def look(self) -> Status:
        """Return the status of all stages of every study, and of the pooling."""
        begun = [Workspace(folder) for folder in study_folders(self.root) if _has_begun(folder)]
        stages = {workspace: stages_of(workspace) for workspace in begun}
        *studies, pooling = self._watcher.look_at({**stages, Workspace(self.root): [pool_files(self.root)]})
        return Status(studies, pooling)

    def text(self, found: Status) -> str:
        """Return one line per study, one of the pooling while it is not simply done or to do, and what went wrong:
        where to read more of studies, and the error and log of the pooling."""
        [pool] = found.pooling.statuses
        of_pool = [] if pool.state in ("to do", "done") else [(pool.stage.name, "", pool.message, "")]
        lines = in_columns([HEADS, *map(_cells, found.studies), *of_pool])
        wrong = [f"see  mammogan watch --workspace {view.workspace.root}" for view in found.studies if view.exit_code]
        wrong += what_went_wrong(pool)
        return "\n".join([self._title(found.studies), "", *lines, *([""] if wrong else []), *wrong])

    def document(self, found: Status) -> dict[str, Any]:
        """Return what --json prints: ``studies`` holds the document of every study, ``pooling`` that of the last
        stage."""
        return {
            "schema": SCHEMA,
            "workspace": str(self.root),
            "pooled": str(table) if (table := pooled_table(self.root)).is_file() else None,
            "pooling": stage_document(found.pooling.statuses[0], found.pooling.time),
            "studies": [document(view) for view in found.studies],
        }

    def _title(self, views: Sequence[View]) -> str:
        done = sum(_done(view) == len(view.statuses) for view in views)
        known = len(study_folders(self.root))
        pooled = f"pooled in {table}" if (table := pooled_table(self.root)).is_file() else "not pooled yet"
        at = datetime.now().strftime("%H:%M:%S")
        return f"{self.root} at {at}: {done} of {known} studies done, {pooled}"


def _has_begun(folder: Path) -> bool:
    try:
        return bool(stages_of(Workspace(folder)))
    except UserError:
        return False


def _cells(view: View) -> tuple[str, ...]:
    busy = [status for status in view.statuses if status.state not in ("done", "to do")]
    busy.sort(key=lambda status: (status.state not in WRONG, status.state != "running"))
    named = [_named(status) for status in busy[:SHOWN]]
    more = [f"{len(busy) - SHOWN} more"] if len(busy) > SHOWN else []
    left = max((seconds for status in busy if (seconds := seconds_left(status, view.time)) is not None), default=None)
    stages = f"{_done(view)} of {len(view.statuses)} done"
    return view.workspace.root.name, stages, ", ".join([*named, *more]), "" if left is None else duration(left)


def _named(status: StageStatus) -> str:
    progress = status.progress
    epoch = f" ({progress.phase or 'epoch'} {progress.epoch} of {progress.epochs})" if progress.epoch else ""
    return f"{status.stage.name} {status.message}{epoch}"


def _done(view: View) -> int:
    return sum(status.state == "done" for status in view.statuses)
