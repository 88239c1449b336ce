"""A function over many items in several processes: results in order, whatever happens to a process."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4  # items under way or waiting to be fetched, for each process


def cores() -> int:
    """Cores that this process may use; SLURM and containers give fewer than the machine has."""
    return len(os.sched_getaffinity(0))


def in_order(function: Callable[[T], R], items: Iterable[T], jobs: int) -> Iterator[R | None]:
    """``function(item)`` for each item in order, in ``jobs`` processes; None where it kills its process.

    A native decoder that crashes takes its process along. Everything then under way is tried again, each item in a
    process of its own, so that only the culprit is lost. With one job the function runs here, unprotected.
    """
    if jobs == 1:
        yield from map(function, items)
        return
    remaining = iter(items)
    while True:
        with _pool(jobs) as pool:
            waiting: deque[tuple[T, Future[R]]] = deque()
            try:
                yield from _until_broken(pool, function, remaining, waiting, jobs * AHEAD)
                return
            except BrokenProcessPool:
                pass
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        for item, future in waiting:
            yield future.result() if _succeeded(future) else _alone(function, item)


def _until_broken(
    pool: ProcessPoolExecutor,
    function: Callable[[T], R],
    remaining: Iterator[T],
    waiting: deque[tuple[T, Future[R]]],
    window: int,
) -> Iterator[R]:
    """Results in order; raises BrokenProcessPool, with what has no result yet in ``waiting``."""
    while True:
        for item in islice(remaining, window - len(waiting)):
            waiting.append((item, _submit(pool, function, item)))
        if not waiting:
            return
        result = waiting[0][1].result()
        waiting.popleft()
        yield result


def _submit(pool: ProcessPoolExecutor, function: Callable[[T], R], item: T) -> Future[R]:
    try:
        return pool.submit(function, item)
    except BrokenProcessPool as error:
        failed: Future[R] = Future()
        failed.set_exception(error)
        return failed


def _succeeded(future: Future[R]) -> bool:
    return future.done() and not future.cancelled() and not future.exception()


def _alone(function: Callable[[T], R], item: T) -> R | None:
    with _pool(1) as pool:
        try:
            return pool.submit(function, item).result()
        except BrokenProcessPool:
            return None


def _pool(processes: int) -> ProcessPoolExecutor:
    # Spawned, because a fork copies the locks of the libraries' threads as they happen to be.
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_leave_interrupts_to_parent)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
