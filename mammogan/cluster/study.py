"""The study as a graph: stages are data, one loop runs what is missing, each stage in a process of its own."""

from __future__ import annotations

import os
import queue
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mammogan.cluster.asked import differences
from mammogan.cluster.processes import exit_code, start, stopping_on_exit
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.tasks import Task
from mammogan.config import UserError
from mammogan.data.workers import cores
from mammogan.files import write_text
from mammogan.terminal import duration, say

PATIENCE = 60.0
"""Seconds a stage gets to stop by itself; longer than it gives its own ranks."""


@dataclass(frozen=True)
class Stage:
    """One command of the line."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Stages that come before; all of them stand earlier in the list."""
    makes: tuple[Path, ...] = ()
    """Files that are there when it is done, and not before."""
    asks: tuple[str, ...] = ()
    """What of its command decides what is made; kept when it has completed. Empty: whatever is there will do."""
    goes_on: Callable[[], bool] | None = None
    """Whether its command would do more, by the record of what is there; asked where it was made by hand."""
    fine: tuple[int, ...] = (0,)
    """Exit codes after which the line goes on."""
    gpus: int = 0
    """What its one process needs on a cluster; trainings ask for their own."""
    shares: int = 1
    """On a cluster: of how many tasks the array is that does its work first; its command then completes it."""
    last: str = ""
    """What the job that completes it makes, such as index."""
    cluster: ClusterConfig = field(default=ClusterConfig())


def done_before(stages: Sequence[Stage], folder: Path) -> set[str]:
    """Names of the stages whose results are there, asked for as they were made, and newer than what they are made from.

    The others run their command, which loses nothing: it finds that all is done, goes on, or says why it cannot.
    """
    done: set[str] = set()
    for stage in stages:
        if done.issuperset(stage.needs) and not why_again(stage, inputs_of(stage, stages), folder):
            done.add(stage.name)
    return done


def why_again(stage: Stage, inputs: Sequence[Path], folder: Path) -> str:
    """What speaks against taking as it is what a stage has made; empty when nothing does.

    What was made by hand is taken, unless it says itself that it is not all that is asked for.
    """
    if missing := [path.name for path in stage.makes if not path.exists()]:
        return f"{', '.join(missing)} not there"
    if not stage.makes:
        return "it makes no file"
    if _older(stage.makes, inputs):
        return f"made before {max((p for p in inputs if p.exists()), key=_made_at)}"
    kept = _kept(stage, folder)
    if not kept.is_file():
        return "asked for more or less than it has" if stage.goes_on is not None and stage.goes_on() else ""
    if not stage.asks or not (changed := differences(kept.read_text(encoding="utf-8"), _command_line(stage))):
        return ""
    return f"asked for otherwise: {changed}"


def inputs_of(stage: Stage, stages: Sequence[Stage]) -> tuple[Path, ...]:
    """What the stages that it needs make."""
    return tuple(path for other in stages if other.name in stage.needs for path in other.makes)


def check_writable(folder: Path) -> None:
    """UserError when nothing can be written into ``folder``, which is made: said at once, not hours later."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"the study's folder {folder} cannot be written ({error.strerror}); give a --workspace on a disk that "
            "you may write"
        ) from error


def complete(stage: Stage, inputs: Sequence[Path], folder: Path) -> None:
    """Keep in ``folder`` what a stage was asked for, now that it has made all. UserError when it has not."""
    if missing := [str(path) for path in stage.makes if not path.exists()]:
        raise UserError(f"{stage.name} ended without making {', '.join(missing)}")
    if _older(stage.makes, inputs):  # it found everything up to date and wrote nothing
        for path in stage.makes:
            path.touch()
    if stage.asks:
        write_text(_kept(stage, folder), _command_line(stage))


@dataclass(frozen=True)
class Recorded(Task):
    """A stage's work on a cluster, completed there as it is here."""

    task: Task
    stage: Stage
    inputs: tuple[Path, ...]
    folder: Path

    def __call__(self) -> None:
        self.task()  # which may end here, to go back to the queue
        self._complete()

    def work(self) -> None:
        self.task.work()
        self._complete()

    def _complete(self) -> None:
        if os.environ.get("RANK", "0") == "0":
            complete(self.stage, self.inputs, self.folder)


def _kept(stage: Stage, folder: Path) -> Path:
    return folder / f"{stage.name}.command"


def _command_line(stage: Stage) -> str:
    return shlex.join(stage.asks) + "\n"


def tree(stages: Sequence[Stage], state: Callable[[Stage], str]) -> str:
    """One line a stage, further right the longer the way to it."""
    depth: dict[str, int] = {}
    lines = []
    for stage in stages:
        depth[stage.name] = max((depth[need] + 1 for need in stage.needs), default=0)
        lines.append(("  " * depth[stage.name] + stage.name, state(stage)))
    width = max((len(name) for name, _ in lines), default=0)
    return "\n".join(f"{name:<{width}}  {told}" for name, told in lines)


def plan_state(stage: Stage, stages: Sequence[Stage], done: set[str], folder: Path) -> str:
    """'done', 'to run' or 'waits for ...', and why."""
    if stage.name in done:
        return "done"
    missing = [need for need in stage.needs if need not in done]
    state = f"waits for {', '.join(missing)}" if missing else "to run"
    why = why_again(stage, inputs_of(stage, stages), folder)
    return f"{state}: {why}" if why else state


def run(stages: Sequence[Stage], at_once: int, folder: Path) -> int:
    """Run what is not done, at most ``at_once`` stages side by side; exit code 1 after a failure, else 0.

    ``folder`` holds each stage's log and, once it has completed, what it was asked for. UserError when it cannot be
    written, at the start or later.

    After a failure nothing new starts; what runs beside it may end, since nothing it makes depends on the failure.
    """
    check_writable(folder)
    return _Run(stages, at_once, folder).until_done()


class _Run:
    def __init__(self, stages: Sequence[Stage], at_once: int, folder: Path) -> None:
        self.stages, self.at_once, self.folder = stages, at_once, folder
        self.finished: set[str] = set()
        self.running: dict[str, float] = {}
        self.failed: set[str] = set()
        self.children: list[subprocess.Popen[str]] = []
        self.ended: queue.Queue[tuple[Stage, subprocess.Popen[str], Exception | None]] = queue.Queue()
        self.stopping = False

    def until_done(self) -> int:
        with stopping_on_exit(self.children, PATIENCE):
            try:
                self._start_what_can()
                while self.running:
                    self._note_end(*self.ended.get())
                    self._start_what_can()
            except BaseException:
                self.stopping = True
                raise
        left = [stage.name for stage in self.stages if stage.name not in self.finished]
        if left:
            print(f"not done: {', '.join(left)}; the same command goes on from here", file=sys.stderr)
        return 1 if left else 0

    def _start_what_can(self) -> None:
        self._pass_over_done()
        ready = [] if self.failed else [stage for stage in self._untouched() if self._has_needs(stage)]
        beside = min(self.at_once, len(self.running) + len(ready))
        for stage in ready[: self.at_once - len(self.running)]:
            self._start(stage, beside)

    def _pass_over_done(self) -> None:
        done = done_before(self.stages, self.folder)
        for stage in self._untouched():
            if stage.name in done and self._has_needs(stage):
                say(f"{stage.name}: done before")
                self.finished.add(stage.name)

    def _untouched(self) -> list[Stage]:
        return [s for s in self.stages if s.name not in {*self.finished, *self.running, *self.failed}]

    def _has_needs(self, stage: Stage) -> bool:
        return self.finished.issuperset(stage.needs)

    def _start(self, stage: Stage, beside: int) -> None:
        """Start one stage among ``beside`` that share the cores."""
        share = {"OMP_NUM_THREADS": str(max(1, cores() // beside))}
        environment = {} if beside == 1 or "OMP_NUM_THREADS" in os.environ else share
        log = self._log(stage)
        log.parent.mkdir(parents=True, exist_ok=True)
        say(f"{stage.name}: started, log in {log}")
        child = start(stage.command, environment, subprocess.PIPE)
        self.children.append(child)
        self.running[stage.name] = time.monotonic()
        threading.Thread(target=self._follow, args=(stage, child, log), daemon=True).start()

    def _follow(self, stage: Stage, child: subprocess.Popen[str], log: Path) -> None:
        """Copy what a stage says; its end is told whatever happens, with the exception that kept us from following."""
        trouble: Exception | None = None
        try:
            self._copy(stage, child, log)
        except Exception as error:
            trouble = error
        if child.stdout:
            child.stdout.close()  # nobody reads on: a child must not wait for it
        self.ended.put((stage, child, trouble))

    def _copy(self, stage: Stage, child: subprocess.Popen[str], log: Path) -> None:
        """To its log and, under its name when others may speak too, to our output, unless all are being stopped:
        then each would say so."""
        prefix = f"{stage.name} | " if self.at_once > 1 else ""
        with open(log, "w", encoding="utf-8") as file:
            for line in child.stdout or ():
                file.write(line)
                file.flush()
                if not self.stopping:
                    say(prefix + line.rstrip("\n"))

    def _note_end(self, stage: Stage, child: subprocess.Popen[str], trouble: Exception | None) -> None:
        if trouble:
            raise self._told(stage, trouble)
        code = exit_code(child)
        took = duration(time.monotonic() - self.running.pop(stage.name))
        how = f"{stage.name} failed with exit code {code}" if code not in stage.fine else self._completed(stage)
        if how:
            self.failed.add(stage.name)
            print(f"{how} after {took}; its log: {self._log(stage)}", file=sys.stderr, flush=True)
            return
        self.finished.add(stage.name)
        say(f"{stage.name}: done in {took}")

    def _told(self, stage: Stage, trouble: Exception) -> Exception:
        """A log that cannot be written is the user's to mend; our own output, closed, and anything else is not."""
        if isinstance(trouble, BrokenPipeError) or not isinstance(trouble, OSError):
            return trouble
        return UserError(
            f"{self._log(stage)} cannot be written ({trouble.strerror}), so the study stops; make the disk writable "
            "or room on it, then the same command goes on from here"
        )

    def _completed(self, stage: Stage) -> str:
        """Why it is not complete although it ended well; empty when it is."""
        try:
            complete(stage, inputs_of(stage, self.stages), self.folder)
        except UserError as error:
            return str(error)
        return ""

    def _log(self, stage: Stage) -> Path:
        return self.folder / f"{stage.name}.log"


def _older(made: Sequence[Path], inputs: Sequence[Path]) -> bool:
    """Whether something made is older than one of its inputs; what is missing makes nothing older."""
    times = [_made_at(path) for path in inputs if path.exists()]
    return bool(times) and min((_made_at(path) for path in made if path.exists()), default=0) < max(times)


def _made_at(path: Path) -> int:
    return path.stat().st_mtime_ns
