"""Work that can be pickled, queued, requeued and run on another machine. Heavy imports are inside the functions."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar

from mammogan.cluster.slurm.this_job import this_job
from mammogan.cluster.usage import usage_reported
from mammogan.config import CadConfig, GanConfig
from mammogan.errors import UserError
from mammogan.io.terminal import say
from mammogan.workspace import Direction, Workspace

PORTS = range(10000, 32768)
"""Ports on which ranks may meet: below Linux's ephemeral ports, which any connection may have taken."""


class Task:
    """Base class of all work: calling it runs it, and its results are on disk, complete or absent."""

    leaves_first: ClassVar = False
    """Whether it ends between two batches when SLURM's signal comes, before it goes back to the queue."""

    def __call__(self) -> None:
        take_rank()
        with requeueing(self.leaves_first), usage_reported():
            self.work()

    def work(self) -> None:
        """Do the work, without setting the rank."""
        raise NotImplementedError

    def checkpoint(self) -> Any:
        """Return what submitit puts back into the queue at a time limit or pre-emption: this task, which resumes from
        its run folder."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Training(Task):
    """A task of several ranks that ends between two batches when SLURM's signal comes, and goes back to the queue."""

    leaves_first = True


@dataclass(frozen=True)
class TrainCad(Training):
    """The training of a CAD."""

    config: CadConfig
    workspace: Workspace

    def work(self) -> None:
        from mammogan.training.cad import train_cad

        train_cad(self.config, self.workspace)


@dataclass(frozen=True)
class TrainGan(Training):
    """The training of one generator."""

    config: GanConfig
    direction: Direction
    workspace: Workspace

    def work(self) -> None:
        from mammogan.training.gan import train_gan

        train_gan(self.config, self.direction, self.workspace)


@dataclass(frozen=True)
class Call(Task):
    """A call of a module's function with arguments; unpickling imports the module."""

    function: Callable[..., object]
    arguments: tuple[Any, ...] = ()

    def work(self) -> None:
        self.function(*self.arguments)


@dataclass(frozen=True)
class Command(Task):
    """A program of one process; an exit code that is not in ``success_codes`` is an error."""

    words: tuple[str, ...]
    success_codes: tuple[int, ...] = (0,)

    def work(self) -> None:
        code = subprocess.run(self.words).returncode
        if code not in self.success_codes:
            raise subprocess.CalledProcessError(code, self.words)


@dataclass(frozen=True)
class Series(Task):
    """Tasks one after the other in one process."""

    tasks: Sequence[Task]

    def work(self) -> None:
        for task in self.tasks:
            task.work()


def take_rank() -> None:
    """Inside a submitit job, set this process's rank in the environment as torchrun does; elsewhere do nothing.

    It also does nothing when a rank is set: then torchrun, or a process with a rank, started this one within the job.
    No rank can come from outside the job, since submission removes it. CUDA_VISIBLE_DEVICES stays as SLURM set it.
    """
    if "RANK" in os.environ or not (job := this_job()):
        return
    restarts = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    os.environ.setdefault("MASTER_PORT", str(master_port(job.job_id, restarts)))
    os.environ["MASTER_ADDR"] = job.hostnames[0]
    os.environ["RANK"], os.environ["WORLD_SIZE"] = str(job.global_rank), str(job.num_tasks)
    os.environ["LOCAL_RANK"] = str(job.local_rank)
    if job.global_rank == 0:
        say(f"SLURM job {job.job_id}, restarts: {restarts}, ranks: {job.num_tasks} on {', '.join(job.hostnames)}")


class Leaving(SystemExit):
    """Ends the work of this rank, and of all others, after it was saved, so that the job goes back to the queue."""


@contextmanager
def requeueing(leaves_first: bool) -> Iterator[None]:
    """In a process that submitit started, requeue the job at submitit's signal; say what to do if SLURM refuses it.

    submitit's own handler requeues at once, wherever the first rank's code is; the other ranks then lose their peer and
    record an error. With ``leaves_first`` the signal ends the work in this block: all ranks leave at a point where the
    work lets the signal through (training/run/preemption.py), then the first rank requeues. The others end with 0 and
    no result: for any other code srun might kill the first rank too early.
    """
    job = this_job()
    number = int(job._usr_sig()) if job else 0
    requeue = signal.getsignal(number) if number else None
    if not callable(requeue):
        yield
        return

    def requeue_or_tell(received: int, frame: FrameType | None) -> None:
        try:
            requeue(received, frame)
        except subprocess.SubprocessError as error:  # submitit alone would show a traceback of scontrol's failure
            raise UserError(
                f"SLURM did not put this job back into the queue ({error}; its reason is above). What was saved is "
                "kept: give the same command again. If this happens always, ask the site for the right to requeue"
            ) from None

    leaving = False

    def leave(received: int, frame: FrameType | None) -> None:
        # A later signal must not interrupt the requeueing: the job would end as a success with its work undone. As a
        # training installs the handlers that it found again, this one has to remember that a signal came.
        nonlocal leaving
        if not leaving:
            leaving = True
            raise Leaving(0)

    signal.signal(number, leave if leaves_first else requeue_or_tell)
    try:
        yield
    except Leaving:
        requeue_or_tell(number, None)  # in the first rank this does not return
        raise
    finally:
        signal.signal(number, requeue)


def master_port(job_id: str, restarts: int) -> int:
    """Return the port on which ranks meet. A requeued job keeps its id; the count of restarts gives it another port."""
    digest = hashlib.sha256(f"{job_id}.{restarts}".encode()).digest()
    return PORTS[int.from_bytes(digest[:8], "big") % len(PORTS)]
