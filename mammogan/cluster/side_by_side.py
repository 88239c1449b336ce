"""Stages of the study on this machine: one loop runs what is missing, each stage in a process of its own."""

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
from mammogan.cluster.study import Stage, check_writable, complete, done_before, inputs_of
from mammogan.config import UserError
from mammogan.data.workers import cores
from mammogan.terminal import duration, say

PATIENCE = 60.0
"""Seconds a stage gets to stop by itself; longer than it gives its own ranks."""


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
