"""Work that can be pickled, queued, requeued and run on another machine. Heavy imports sit inside."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from mammogan.config import CadConfig, Direction, GanConfig, Workspace
from mammogan.terminal import say

PORTS = range(10000, 32768)
"""Below Linux's ephemeral ports, which any connection may have taken."""


class Task:
    """Base of all work. Whoever runs it calls it; what it computes is found on disk, complete or absent."""

    def __call__(self) -> None:
        take_rank()
        self.work()

    def work(self) -> None:
        raise NotImplementedError

    def checkpoint(self) -> Any:
        """What goes back to the queue on a time limit or pre-emption: the same, which resumes from its run folder."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Training(Task):
    """A task of several ranks that ends between two batches when SLURM's signal comes, and goes back to the queue."""

    def __call__(self) -> None:
        take_rank()
        with leaving_before_requeue():
            self.work()


@dataclass(frozen=True)
class TrainCad(Training):
    config: CadConfig
    workspace: Workspace

    def work(self) -> None:
        from mammogan.training.cad import train

        train(self.config, self.workspace)


@dataclass(frozen=True)
class TrainGan(Training):
    config: GanConfig
    direction: Direction
    workspace: Workspace

    def work(self) -> None:
        from mammogan.training.gan import train

        train(self.config, self.direction, self.workspace)


@dataclass(frozen=True)
class Call(Task):
    """A module's function with its arguments; unpickling imports the module."""

    function: Callable[..., object]
    arguments: tuple[Any, ...] = ()

    def work(self) -> None:
        self.function(*self.arguments)


@dataclass(frozen=True)
class Command(Task):
    """A program of one process; an exit code that is not in ``fine`` is an error here."""

    words: tuple[str, ...]
    fine: tuple[int, ...] = (0,)

    def work(self) -> None:
        code = subprocess.run(self.words).returncode
        if code not in self.fine:
            raise subprocess.CalledProcessError(code, self.words)


@dataclass(frozen=True)
class Series(Task):
    """Tasks one after the other in one process."""

    tasks: Sequence[Task]

    def work(self) -> None:
        for task in self.tasks:
            task.work()


def take_rank() -> None:
    """Inside a submitit job, name this process's rank as torchrun would; elsewhere, or where it has one, do nothing.

    It has one when a process with a rank, or torchrun, started it within the job; none comes in from outside, since
    submission leaves them out. CUDA_VISIBLE_DEVICES is left as SLURM made it.
    """
    if "RANK" in os.environ or not os.environ.get("SUBMITIT_EXECUTOR"):
        return
    import submitit

    job = submitit.JobEnvironment()
    restarts = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    os.environ.setdefault("MASTER_PORT", str(master_port(job.job_id, restarts)))
    os.environ["MASTER_ADDR"] = job.hostnames[0]
    os.environ["RANK"], os.environ["WORLD_SIZE"] = str(job.global_rank), str(job.num_tasks)
    os.environ["LOCAL_RANK"] = str(job.local_rank)
    if job.global_rank == 0:
        say(f"SLURM job {job.job_id}, restarts: {restarts}, ranks: {job.num_tasks} on {', '.join(job.hostnames)}")


class Leaving(SystemExit):
    """The work has saved what it has and ends in this rank, and in all others, to go back to the queue."""


@contextmanager
def leaving_before_requeue() -> Iterator[None]:
    """In a process that submitit started, have its signal end the work in this block first, then requeue the job.

    submitit's own handler requeues at once, wherever the first rank's code is; the other ranks then lose their peer and
    record an error. Here all ranks leave where the work lets the signal through (training/preemption.py), then the
    first one requeues. The others end with 0 and no result: for any other code srun might kill the first too early.
    """
    number = _submitit_signal()
    requeue = signal.getsignal(number) if number else None
    if number is None or not callable(requeue):
        yield
        return
    signal.signal(number, _Leave())
    try:
        yield
    except Leaving:
        requeue(number, None)  # in the first rank this does not return
        raise
    finally:
        signal.signal(number, requeue)


def _submitit_signal() -> int | None:
    """The signal that puts a job back to the queue; None outside of submitit's jobs."""
    if not os.environ.get("SUBMITIT_EXECUTOR"):
        return None
    import submitit

    return int(submitit.JobEnvironment()._usr_sig())


class _Leave:
    """Handler that ends the work at the first signal. Another on the way out must not cut the requeueing short: the job
    would then have ended well, its work undone."""

    def __init__(self) -> None:
        self._leaving = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._leaving:
            self._leaving = True
            raise Leaving(0)


def master_port(job_id: str, restarts: int) -> int:
    """Port on which ranks meet. A requeued job keeps its id, so the count of restarts keeps it off the old meeting."""
    digest = hashlib.sha256(f"{job_id}.{restarts}".encode()).digest()
    return PORTS[int.from_bytes(digest[:8], "big") % len(PORTS)]
