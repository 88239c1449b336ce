"""What a command gives to the launcher: one job, or an array of independent tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.cluster.tasks import Task


@dataclass(frozen=True)
class Job:
    """The work of one stage."""

    name: str
    """Name of the job, short and without blanks, such as cad-1024x832."""
    task: Task
    folder: Path
    """Its run folder; the scheduler's files go to submit/ in it."""
    complete: Path
    """File that exists once the work is done, and not before."""
    pairs: int = 1
    """Number of pairs that the ranks share evenly; 1 for work of one process."""
    check: Callable[[], None] | None = None
    """Raises MissingInput when the work cannot begin yet; not called when other jobs will make the input first."""
    settings: Callable[[], None] | None = None
    """Raises UserError when the work would refuse its settings; called before submission, not hours later in a job."""
    after: str = ""
    """Name of a job launched together with this one that must succeed first; empty when this one can begin at once."""
    requested: Mapping[str, Any] | None = None
    """For a study's stage: its options by name; recorded with its jobs."""


@dataclass(frozen=True)
class Array:
    """Independent tasks of one process each, safe to repeat, and the job that follows when all are done."""

    name: str
    tasks: Sequence[Task]
    folder: Path
    finish: Job
    at_once: int = 64
    """Most tasks that run at the same time on SLURM."""
    makes: Sequence[str] = ()
    """Names of what each task makes, for those who watch the tasks."""
    recorded: Sequence[Path] = ()
    """Other folders in which jobs may be recorded that do the same work."""
