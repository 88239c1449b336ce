"""The study as a graph: stages are data, one loop runs what is missing, each stage in a process of its own."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mammogan.cluster.processes import exit_code, start, stopping_on_exit
from mammogan.cluster.profile import ClusterConfig
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
    remade: bool = False
    """Done again when one of its needs was; without it, what is made stays (a training is not thrown away)."""
    fine: tuple[int, ...] = (0,)
    """Exit codes after which the line goes on."""
    gpus: int = 0
    """What its one process needs on a cluster; trainings ask for their own."""
    cluster: ClusterConfig = field(default=ClusterConfig())


def done_before(stages: Sequence[Stage]) -> set[str]:
    """Names of the stages whose results are there, and newer than what they are made from where that matters."""
    by_name = {stage.name: stage for stage in stages}
    done: set[str] = set()
    for stage in stages:
        inputs = [path for need in stage.needs for path in by_name[need].makes] if stage.remade else []
        present = stage.makes and all(path.exists() for path in stage.makes)
        if present and (not stage.remade or done.issuperset(stage.needs)) and not _older(stage.makes, inputs):
            done.add(stage.name)
    return done


def tree(stages: Sequence[Stage], state: Callable[[Stage], str]) -> str:
    """One line a stage, further right the longer the way to it."""
    depth: dict[str, int] = {}
    lines = []
    for stage in stages:
        depth[stage.name] = max((depth[need] + 1 for need in stage.needs), default=0)
        lines.append(("  " * depth[stage.name] + stage.name, state(stage)))
    width = max((len(name) for name, _ in lines), default=0)
    return "\n".join(f"{name:<{width}}  {told}" for name, told in lines)


def plan_state(stage: Stage, done: set[str]) -> str:
    """'done', 'to run' or 'waits for ...'."""
    if stage.name in done:
        return "done"
    missing = [need for need in stage.needs if need not in done]
    return f"waits for {', '.join(missing)}" if missing else "to run"


def run(stages: Sequence[Stage], at_once: int, logs: Path) -> int:
    """Run what is not done, at most ``at_once`` stages side by side; exit code 1 after a failure, else 0.

    After a failure nothing new starts; what runs beside it may end, since nothing it makes depends on the failure.
    """
    return _Run(stages, at_once, logs).until_done()


class _Run:
    def __init__(self, stages: Sequence[Stage], at_once: int, logs: Path) -> None:
        self.stages, self.at_once, self.logs = stages, at_once, logs
        self.finished: set[str] = set()
        self.running: dict[str, float] = {}
        self.failures: dict[str, str] = {}
        self.children: list[subprocess.Popen[str]] = []
        self.ended: queue.Queue[tuple[Stage, int]] = queue.Queue()

    def until_done(self) -> int:
        with stopping_on_exit(self.children, PATIENCE):
            self._start_what_can()
            while self.running:
                self._note_end(*self.ended.get())
                self._start_what_can()
        left = [stage.name for stage in self.stages if stage.name not in self.finished]
        for failure in self.failures.values():
            print(failure, file=sys.stderr)
        if left:
            print(f"not done: {', '.join(left)}; the same command goes on from here", file=sys.stderr)
        return 1 if left else 0

    def _start_what_can(self) -> None:
        self._pass_over_done()
        ready = [] if self.failures else [stage for stage in self._untouched() if self._has_needs(stage)]
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
        return [s for s in self.stages if s.name not in {*self.finished, *self.running, *self.failures}]

    def _has_needs(self, stage: Stage) -> bool:
        return self.finished.issuperset(stage.needs)

    def _start(self, stage: Stage, beside: int) -> None:
        """Start one stage among ``beside`` that share the cores."""
        cores = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // beside))}
        environment = {} if beside == 1 or "OMP_NUM_THREADS" in os.environ else cores
        log = self.logs / f"{stage.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        say(f"{stage.name}: started, log in {log}")
        child = start(stage.command, environment, subprocess.PIPE)
        self.children.append(child)
        self.running[stage.name] = time.monotonic()
        threading.Thread(target=self._follow, args=(stage, child, log), daemon=True).start()

    def _follow(self, stage: Stage, child: subprocess.Popen[str], log: Path) -> None:
        """Copy what a stage says to its log and, under its name when others may speak too, to our output."""
        prefix = f"{stage.name} | " if self.at_once > 1 else ""
        with open(log, "w", encoding="utf-8") as file:
            for line in child.stdout or ():
                file.write(line)
                file.flush()
                say(prefix + line.rstrip("\n"))
        self.ended.put((stage, exit_code(child)))

    def _note_end(self, stage: Stage, code: int) -> None:
        took = duration(time.monotonic() - self.running.pop(stage.name))
        missing = [str(path) for path in stage.makes if not path.exists()]
        if code in stage.fine and not missing:
            self.finished.add(stage.name)
            for path in stage.makes if stage.remade else ():
                path.touch()  # it may have found everything up to date and written nothing
            say(f"{stage.name}: done in {took}")
            return
        how = (
            f"failed with exit code {code}" if code not in stage.fine else f"ended without making {', '.join(missing)}"
        )
        self.failures[stage.name] = f"{stage.name} {how} after {took}; its log: {self.logs / stage.name}.log"
        say(self.failures[stage.name])


def _older(made: Sequence[Path], inputs: Sequence[Path]) -> bool:
    """Whether something made is older than one of its inputs; a missing input makes nothing older."""
    times = [path.stat().st_mtime_ns for path in inputs if path.exists()]
    return bool(times) and min(path.stat().st_mtime_ns for path in made) < max(times)
