"""Signals that request the end of a training: they are recorded at once and obeyed at the end of a batch.

A scheduler that pre-empts sends SIGUSR2 or SIGTERM, a person Ctrl-C, a closed terminal SIGHUP. Each sets a flag. The
training checks it where its state can be saved (``checkpointer.Checkpointer``), saves, and then obeys.
"""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
"""The signals that are received. If several came, the last of them in this order is obeyed first."""
TWICE_SECONDS = 2.0
"""A second Ctrl-C later than this ends at once; an earlier one is a duplicate, sent by both terminal and launcher."""


class Stopped(SystemExit):
    """Raised when the training has saved its state and ends because of a signal.

    The exit code is 128 + the signal's number, as shells report it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class Preemption:
    """The signals that came and were not obeyed yet. They are only received inside ``listening``."""

    def __init__(self) -> None:
        self._received: set[int] = set()
        self._before: dict[int, Any] = {}
        self._interrupted: float | None = None
        self._terminals: list[int] = []

    @property
    def first(self) -> int | None:
        """The signal to obey first; None when none came."""
        return max(self._received, key=ENDING.index, default=None)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Receive signals inside this block.

        Signals that are ignored, as under nohup, stay ignored. Only the main thread can receive signals. A signal that
        came too late to be obeyed in the block is sent again after it, to the handler installed before.

        A rank that received the same signal before this block has already left, and an exchange with it fails here. So
        if a launcher's handler is installed, an error after a signal counts as obeying that signal; the newest
        checkpoint is the one to resume from.
        """
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in ENDING}
            self._before = {n: handler for n, handler in handlers.items() if handler is not signal.SIG_IGN}
        self._terminals = [output for output in (1, 2) if os.isatty(output)]
        for number in self._before:
            signal.signal(number, self._note)
        try:
            yield
        except Exception:
            if (first := self.first) is not None and self._launcher(first):
                traceback.print_exc()
                self.obey(first)
            raise
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)
        if self.first is not None:
            signal.raise_signal(self.first)

    def obey(self, number: int) -> None:
        """End the training, whose state is saved.

        A handler installed before, such as a launcher's, decides how: it is called, and if it returns, the training
        continues. Without one it raises Stopped.
        """
        self._received.discard(number)
        if (decide := self._launcher(number)) is None:
            raise Stopped(number)
        decide(number, None)

    def _launcher(self, number: int) -> Callable[[int, None], Any] | None:
        """Return the handler that was installed for the signal before; Python's own does not count."""
        handler = self._before.get(number)
        return handler if callable(handler) and handler is not signal.default_int_handler else None

    def _note(self, number: int, frame: FrameType | None) -> None:
        """The signal handler: record the signal; a second, later Ctrl-C raises KeyboardInterrupt."""
        self._received.add(number)
        if number == signal.SIGHUP:
            self._hang_up()
        if number != signal.SIGINT:
            return
        now = time.monotonic()
        if self._interrupted is not None and now - self._interrupted > TWICE_SECONDS:
            raise KeyboardInterrupt
        if self._interrupted is None and sys.stderr.isatty():
            os.write(2, b"\nsaving after this batch; Ctrl-C again ends at once\n")
        self._interrupted = self._interrupted or now

    def _hang_up(self) -> None:
        """Redirect output to nowhere: once its terminal is closed, every write would fail and end the training."""
        with open(os.devnull, "wb") as nowhere:
            for terminal in self._terminals:
                os.dup2(nowhere.fileno(), terminal)


def with_signals_blocked_at_start(items: Iterable[T]) -> Iterator[T]:
    """Yield ``items``, and block signals while the first one is fetched.

    Processes that start with it, such as loader workers, then never receive signals. Signals go to entire process
    groups, and a worker killed by one would end the training.
    """
    others = set(multiprocessing.active_children())
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        every = iter(items)
        first = list(itertools.islice(every, 1))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        if workers := set(multiprocessing.active_children()) - others:
            atexit.register(_kill, workers)
    yield from first
    yield from every


def _kill(workers: set[Any]) -> None:
    """Kill these processes at exit, before multiprocessing sends them SIGTERM, which they never receive, and waits."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would raise an error for each child
    for child in workers:
        child.kill()
