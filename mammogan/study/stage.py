"""The stages of a study as data, and whether each is done: by its results and what they record."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Task
from mammogan.errors import UserError
from mammogan.io.disk_errors import try_writing
from mammogan.io.own_files import file_exists
from mammogan.io.terminal import in_columns


@dataclass(frozen=True)
class Stage:
    """One stage of a study: the command that it runs, what it needs and what it makes."""

    name: str
    command: tuple[str, ...]
    """Command line for a process of its own."""
    needs: tuple[str, ...] = ()
    """Stages that come before; all of them are earlier in the list."""
    makes: tuple[Path, ...] = ()
    """Files that exist when it is done, and not before."""
    outdated: Callable[[], str] | None = None
    """Returns why its results are not those that are requested, by what lies beside them; '' when they are. None: any
    existing result is used."""
    reads: tuple[Path, ...] | None = None
    """Files that it reads, of those that the stages it needs make; None: all of them."""
    success_codes: tuple[int, ...] = (0,)
    """Exit codes after which the study continues."""
    gpus: int = 0
    """GPUs that its single process needs on a cluster; trainings have requests of their own."""
    shards: tuple[str, ...] = ()
    """On a cluster: what each task of its array makes; after the array, the stage's command completes the work."""
    last: str = ""
    """What the job after the array makes, such as index."""
    cluster: ClusterConfig = field(default=ClusterConfig())
    """Its requests to the cluster."""
    options: Any = None
    """The options of its command, as an object of the command's class."""
    requested: dict[str, Any] = field(default_factory=dict)
    """The options that decide what is made, by name."""
    runs: str = ""
    """Name of its command, such as train-cad."""
    recorded: tuple[Path, ...] = ()
    """On a cluster: other folders that may record jobs doing the same work, submitted manually or by a study."""


def done_before(stages: Sequence[Stage]) -> set[str]:
    """Return the names of stages whose results exist, were made as requested now, and are newer than their inputs.

    The other stages run their command, which loses nothing: it finds that all is done, continues, or says why it
    cannot. When a stage makes several files, such as shards of several resolutions, another stage that needs it can be
    done even if files are missing that it does not read.
    """
    done: set[str] = set()
    for stage in stages:
        needs = [need for need in stages if need.name in stage.needs]
        ready = all(inputs_ready(stage, need, stages, done) for need in needs)
        if ready and not why_again(stage, inputs_of(stage, stages)):
            done.add(stage.name)
    return done


def inputs_ready(stage: Stage, need: Stage, stages: Sequence[Stage], done: Set[str]) -> bool:
    """Return whether the files that ``stage`` reads from ``need`` exist and stay, even if ``need`` must make others."""
    if need.name in done or stage.reads is None:
        return need.name in done
    return done >= set(need.needs) and not why_again(_as_read_by(stage, need), inputs_of(need, stages))


def _as_read_by(stage: Stage, need: Stage) -> Stage:
    """Return ``need``, a stage that ``stage`` needs, as if it made only the files that ``stage`` reads."""
    return need if stage.reads is None else replace(need, makes=tuple(p for p in need.makes if p in stage.reads))


def why_again(stage: Stage, inputs: Sequence[Path]) -> str:
    """Return why a stage's results cannot be kept as they are; empty when they can, whoever made them."""
    if missing := [path.name for path in stage.makes if not file_exists(path)]:
        return f"{', '.join(missing)} not there"
    if not stage.makes:
        return "it makes no file"
    if newer := _newer(stage.makes, inputs):
        return f"made before {newer}"
    return stage.outdated() if stage.outdated else ""


def inputs_of(stage: Stage, stages: Sequence[Stage]) -> tuple[Path, ...]:
    """Return the files that a stage reads, made by the stages that it needs."""
    return tuple(path for other in stages if other.name in stage.needs for path in _as_read_by(stage, other).makes)


def check_writable(folder: Path) -> None:
    """Create ``folder``; raise UserError if nothing can be written into it, at once and not hours later."""
    try:
        try_writing(folder)
    except OSError as error:
        raise UserError(
            f"the study's folder {folder} cannot be written ({error.strerror}); give a --workspace on a disk that "
            "you may write"
        ) from error


def complete(name: str, makes: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Check that a stage has made everything, and mark its results as newer than their inputs; UserError when it has
    not made them."""
    if missing := [str(path) for path in makes if not file_exists(path)]:
        raise UserError(f"{name} ended without making {', '.join(missing)}")
    if newer := _newer(makes, inputs):  # it found everything up to date and wrote nothing
        newest = _made_at(newer)  # another machine's clock may be ahead
        now = max(time.time_ns(), newest)
        for path in makes:
            os.utime(path, ns=(now, now))


@dataclass(frozen=True)
class CompletingTask(Task):
    """A stage's work as a task on a cluster, which completes the stage as on this machine."""

    task: Task
    name: str
    makes: tuple[Path, ...]
    inputs: tuple[Path, ...]

    def __call__(self) -> None:
        self.task()  # may end the process here, to go back to the queue
        if os.environ.get("RANK", "0") == "0":
            complete(self.name, self.makes, self.inputs)


def tree(stages: Sequence[Stage], state: Callable[[Stage], str]) -> str:
    """Return one line per stage, indented by the length of the longest chain of stages before it."""
    depth: dict[str, int] = {}
    rows = []
    for stage in stages:
        depth[stage.name] = max((depth[need] + 1 for need in stage.needs), default=0)
        rows.append(("  " * depth[stage.name] + stage.name, state(stage)))
    return "\n".join(in_columns(rows))


def plan_state(stage: Stage, stages: Sequence[Stage], done: set[str]) -> str:
    """Return 'done', 'to run' or 'waits for ...', and why."""
    if stage.name in done:
        return "done"
    missing = [need for need in stage.needs if need not in done]
    state = f"waits for {', '.join(missing)}" if missing else "to run"
    why = why_again(stage, inputs_of(stage, stages))
    return f"{state}: {why}" if why else state


def _newer(made: Sequence[Path], inputs: Sequence[Path]) -> Path | None:
    """Return the newest input if one of the results is older, else None; missing files are ignored."""
    newest = max((path for path in inputs if file_exists(path)), key=_made_at, default=None)
    oldest = min((_made_at(path) for path in made if file_exists(path)), default=0)
    return newest if newest and oldest < _made_at(newest) else None


def _made_at(path: Path) -> int:
    return path.stat().st_mtime_ns
