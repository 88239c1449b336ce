"""The commands that a study consists of: their options, and the jobs that each would launch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mammogan.cluster.job import Array, Job
from mammogan.io.atomic import Digest
from mammogan.io.own_python import python_running
from mammogan.io.structure import words_of

PYTHON = python_running("mammogan")
"""The words before the command's name when a stage runs in a separate process."""
SHOWN = ("cohort", "workspace", "resolution", "split")
"""Options that a stage's command line shows even where they are the defaults."""


@dataclass(frozen=True)
class StudyCommand:
    """One command of ``mammogan``. It is imported only when a study uses it: cli imports study, so study cannot import
    cli."""

    name: str
    """Name on the command line, such as train-cad."""
    options: type
    """Dataclass of its options."""
    jobs: Callable[..., list[Job]] | None
    """Returns the jobs that it would launch, given its options and how files are hashed; None for a command that
    launches none."""
    arrays: Callable[..., list[Array]] | None
    """For work on shards: returns the tasks that are not yet done, given the same."""

    outdated: Callable[[Any, Digest], str]
    """Returns why its results are not those that are requested, in a sentence; empty when they are."""

    @classmethod
    def load(cls, name: str) -> StudyCommand:
        """Import the module of a command."""
        module = importlib.import_module(f"mammogan.cli.{name.replace('-', '_')}")
        jobs, arrays = getattr(module, "jobs", None), getattr(module, "arrays", None)
        return cls(name, module.Options, jobs, arrays, module.outdated)

    def words(self, options: Any) -> tuple[str, ...]:
        """Return the complete command line that runs it with these options in a process of its own."""
        return (*PYTHON, self.name, *words_of(options, SHOWN))
