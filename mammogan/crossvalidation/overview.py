"""Shows the studies of a cross-validation, one line for each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mammogan.crossvalidation.fold_study import pooled_table, study_folders
from mammogan.errors import UserError
from mammogan.io.terminal import duration, in_columns
from mammogan.watch.stage_status import WRONG, StageStatus
from mammogan.watch.stages import stages_of
from mammogan.watch.view import View, seconds_left
from mammogan.watch.watch import SCHEMA, Watcher, document
from mammogan.workspace import Workspace

HEADS = ("study", "stages", "now", "left")
SHOWN = 3
"""Most stages of a study that are named."""


class Overview:
    """Watches all studies of a cross-validation that have begun; each look calls squeue at most once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._watcher = Watcher()

    def look(self) -> list[View]:
        """Return the status of all stages of every study."""
        self._watcher.workspaces = tuple(Workspace(folder) for folder in study_folders(self.root) if _has_begun(folder))
        return self._watcher.look_at_all()

    def text(self, views: Sequence[View]) -> str:
        """Return one line per study, and where to read more of those that failed."""
        lines = in_columns([HEADS, *map(_cells, views)])
        wrong = [f"see  mammogan watch --workspace {view.workspace.root}" for view in views if view.exit_code]
        return "\n".join([self._title(views), "", *lines, *([""] if wrong else []), *wrong])

    def document(self, views: Sequence[View]) -> dict[str, Any]:
        """Return what --json prints: ``studies`` holds the document of every study."""
        pooled = str(table) if (table := pooled_table(self.root)).is_file() else None
        studies = [document(view) for view in views]
        return {"schema": SCHEMA, "workspace": str(self.root), "pooled": pooled, "studies": studies}

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
