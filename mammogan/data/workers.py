"""A function over many items in several processes: results in order, whatever happens to a process."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

from mammogan.data.memory import available
from mammogan.data.worker_process import Lost, Worker

__all__ = ["Lost", "cores", "in_order", "processes"]

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4  # items under way or waiting to be fetched, for each process


def cores() -> int:
    """Cores that this process may use; SLURM and containers give fewer than the machine has."""
    return len(os.sched_getaffinity(0))


def processes(asked: int, need: int) -> int:
    """How many processes of ``need`` bytes each: as asked; for 0 one for each core, as far as free memory allows."""
    return asked or max(1, min(cores(), available() // need))


def in_order(
    function: Callable[[T], R], items: Iterable[T], jobs: int, seconds: float | None = None
) -> Generator[R | Lost, None, None]:
    """``function(item)`` for each item in order, in ``jobs`` processes; Lost where it took its process down or hung.

    Each process has one item at a time, so no other one is lost with it. ``seconds``: an item that takes longer is
    given up and its process killed; None: no limit. One job without a limit runs here, unprotected. Closing the
    iterator kills the processes; so does the end of this process, however it comes about.
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

    # A thread waits for each process, so that they go on while the results are written to a slow disk.
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
        waiting.extend(threads.submit(work, item) for item in islice(remaining, window - len(waiting)))
        if not waiting:
            return
        yield waiting.popleft().result()
