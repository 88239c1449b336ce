"""Runs the stages of a study on this machine: one loop starts what is missing, each stage in a separate process."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from mammogan.cluster.processes import exit_code, start, stopping_on_exit
from mammogan.data.parallel.pool import cores
from mammogan.errors import NotStarted, UserError
from mammogan.io.terminal import duration, say
from mammogan.study.stage import Stage, check_writable, complete, done_before, inputs_of

PATIENCE = 60.0
"""Seconds a stage gets to stop by itself; longer than it gives its own ranks."""


def run(stages: Sequence[Stage], at_once: int, folder: Path) -> int:
    """Run the stages that are not done, at most ``at_once`` at a time; return 1 after a failure, else 0.

    ``folder`` holds each stage's log. UserError when it cannot be written, at the start or later.

    After a failure nothing new starts; stages that run continue to their end, since they do not depend on the failed
    one.
    """
    check_writable(folder)
    return _Run(stages, at_once, folder).until_done()


class _Run:
    """The state of one run: stages that are finished, running and failed, and their processes."""

    def __init__(self, stages: Sequence[Stage], at_once: int, folder: Path) -> None:
        self.stages, self.at_once, self.folder = stages, at_once, folder
        self.finished: set[str] = set()
        self.running: dict[str, float] = {}
        self.failed: set[str] = set()
        self.children: list[subprocess.Popen[str]] = []
        self.ended: queue.Queue[tuple[Stage, subprocess.Popen[str], Exception | None]] = queue.Queue()
        self.stopping = False

    def until_done(self) -> int:
        """Run until nothing more can start; return 1 if a stage is not done, else 0."""
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
            print(f"not done: {', '.join(left)}; the same command resumes from here", file=sys.stderr)
        return 1 if left else 0

    def _start_what_can(self) -> None:
        self._pass_over_done()
        ready = [] if self.failed else [stage for stage in self._untouched() if self._has_needs(stage)]
        ready.sort(key=self._stages_to_come, reverse=True)  # the longest chain decides when the study is done
        beside = min(self.at_once, len(self.running) + len(ready))
        for stage in ready[: self.at_once - len(self.running)]:
            self._start(stage, beside)

    def _pass_over_done(self) -> None:
        done = done_before(self.stages)
        for stage in self._untouched():
            if stage.name in done and self._has_needs(stage):
                say(f"{stage.name}: done before")
                self.finished.add(stage.name)

    def _untouched(self) -> list[Stage]:
        return [s for s in self.stages if s.name not in {*self.finished, *self.running, *self.failed}]

    def _stages_to_come(self, stage: Stage) -> int:
        """Length of the longest chain of stages that wait for this one."""
        waiting = [other for other in self.stages if stage.name in other.needs]
        return max((1 + self._stages_to_come(other) for other in waiting), default=0)

    def _has_needs(self, stage: Stage) -> bool:
        return self.finished.issuperset(stage.needs)

    def _start(self, stage: Stage, beside: int) -> None:
        """Start one stage; ``beside`` stages share the cores."""
        share = {"OMP_NUM_THREADS": str(max(1, cores() // beside))}
        environment = {} if beside == 1 or "OMP_NUM_THREADS" in os.environ else share
        log = self._log(stage)
        log.parent.mkdir(parents=True, exist_ok=True)
        say(f"{stage.name}: started, log in {log}")
        child = start(stage.command, environment, subprocess.PIPE)
        self.children.append(child)
        self.running[stage.name] = time.monotonic()
        follower = threading.Thread(target=self._follow, args=(stage, child, log), daemon=True)
        try:
            follower.start()
        except RuntimeError as error:
            raise NotStarted(error) from error

    def _follow(self, stage: Stage, child: subprocess.Popen[str], log: Path) -> None:
        """Copy a stage's output, and report its end in any case, with the exception that stopped the copying if there
        was one."""
        trouble: Exception | None = None
        try:
            self._copy(stage, child, log)
        except Exception as error:
            trouble = error
        if child.stdout:
            child.stdout.close()  # nobody reads any more: the child must not wait for a reader
        self.ended.put((stage, child, trouble))

    def _copy(self, stage: Stage, child: subprocess.Popen[str], log: Path) -> None:
        """Copy to its log and to our output, with its name in front when several stages may run.

        Nothing goes to our output while all are being stopped: each stage would report it.
        """
        prefix = f"{stage.name} | " if self.at_once > 1 else ""
        with open(log, "w", encoding="utf-8") as file:
            for line in child.stdout or ():
                file.write(line)
                file.flush()
                if not self.stopping:
                    say(prefix + line.rstrip("\n"))

    def _note_end(self, stage: Stage, child: subprocess.Popen[str], trouble: Exception | None) -> None:
        if trouble:
            raise self._explained(stage, trouble)
        code = exit_code(child)
        took = duration(time.monotonic() - self.running.pop(stage.name))
        try:
            if code not in stage.success_codes:
                raise UserError(f"{stage.name} failed with exit code {code}")
            complete(stage.name, stage.makes, inputs_of(stage, self.stages))
        except UserError as error:
            self.failed.add(stage.name)
            print(f"{error} after {took}; its log: {self._log(stage)}", file=sys.stderr, flush=True)
            return
        self.finished.add(stage.name)
        say(f"{stage.name}: done in {took}")

    def _explained(self, stage: Stage, trouble: Exception) -> Exception:
        """Return a UserError for a log that cannot be written, which the user can correct, and any other exception as
        it is."""
        if isinstance(trouble, BrokenPipeError) or not isinstance(trouble, OSError):
            return trouble
        return UserError(
            f"{self._log(stage)} cannot be written ({trouble.strerror}), so the study stops; make the disk writable "
            "or free space on it, then the same command resumes from here"
        )

    def _log(self, stage: Stage) -> Path:
        return self.folder / f"{stage.name}.log"
