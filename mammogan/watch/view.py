"""Holds the status of all stages of a workspace at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mammogan.watch.stage_status import WRONG, StageStatus
from mammogan.workspace import Workspace


@dataclass(frozen=True)
class View:
    """The status of all stages at one moment."""

    workspace: Workspace
    time: float
    """Seconds since 1970."""
    statuses: Sequence[StageStatus]
    slurm: str
    """'squeue and sacct', 'squeue' where accounting is off, 'not asked' without jobs, else why SLURM does not
    answer."""

    @property
    def exit_code(self) -> int:
        """Exit code of mammogan watch: 1 when a stage has failed or was cancelled, else 0."""
        return int(any(status.state in WRONG for status in self.statuses))


def seconds_left(found: StageStatus, now: float) -> float | None:
    """Return the most seconds that a running training still needs, counted from its last report; None if it reported
    none."""
    status = found.progress.status
    if status is None or status.seconds_left is None:
        return None
    return round(max(0.0, status.seconds_left - (now - status.time)), 1)
