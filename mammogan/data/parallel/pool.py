"""Run a function on many items in several processes; results come in order, whatever happens to a process."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

from mammogan.data.parallel.memory import available
from mammogan.data.parallel.process import Lost, Worker
from mammogan.errors import NotStarted

__all__ = ["Lost", "cores", "in_order", "processes"]

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4
"""Items per process that are in progress, or finished and not yet fetched."""


def cores() -> int:
    """Count the cores that this process may use; under SLURM and in containers these are fewer than the machine's."""
    return len(os.sched_getaffinity(0))


def processes(requested: int, need: int) -> int:
    """Return how many processes to use: ``requested``; if 0, one per core, as far as memory allows, at least one.

    ``need``: bytes of memory per process.
    """
    return requested or max(1, min(cores(), available() // need))


def in_order(
    function: Callable[[T], R], items: Iterable[T], jobs: int, seconds: float | None = None
) -> Generator[R | Lost, None, None]:
    """Yield ``function(item)`` for each item in order, from ``jobs`` processes; Lost if its process died or hung.

    Each process has one item at a time, so no other item is lost with it. ``seconds``: an item that takes longer is
    given up and its process is killed; None: no limit. A single job without a limit runs in this process, unprotected.
    The processes are killed when the iterator is closed, and when this process ends for any reason.
    """
    if jobs == 1 and seconds is None:
        yield from map(function, items)
        return
    workers: list[Worker[T, R]] = [Worker(function) for _ in range(jobs)]
    idle: SimpleQueue[Worker[T, R]] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def work(item: T) -> R | Lost:
        worker = idle.get()
        try:
            return worker.result(item, seconds)
        finally:
            idle.put(worker)

    # One thread waits for each process, so that all keep working while results are written to a slow disk.
    threads = ThreadPoolExecutor(jobs)
    try:
        yield from _ahead(threads, work, iter(items), jobs * AHEAD)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.close()


def _ahead(
    threads: ThreadPoolExecutor, work: Callable[[T], R | Lost], remaining: Iterator[T], window: int
) -> Iterator[R | Lost]:
    waiting: deque[Future[R | Lost]] = deque()
    while True:
        for item in islice(remaining, window - len(waiting)):
            try:
                waiting.append(threads.submit(work, item))
            except RuntimeError as error:
                raise NotStarted(error) from error
        if not waiting:
            return
        yield waiting.popleft().result()
