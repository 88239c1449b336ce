"""Signals that ask a training to end: they are noted, and nothing happens before the end of a batch.

A scheduler that pre-empts sends SIGUSR2 or SIGTERM, a person Ctrl-C, a closed terminal SIGHUP. Each sets a flag; who
trains asks for it where its state can be saved (``keeping.Keeper``), saves, and then obeys.
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
"""What is heard. When several came, the last of them in this order is obeyed first."""
TWICE_SECONDS = 2.0
"""A second Ctrl-C later than this ends at once; sooner it is the same one, told by the terminal and by a launcher."""


class Stopped(SystemExit):
    """The training has saved its state and ended because a signal asked for it; exit code 128 + the signal's number, as
    a shell tells it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class Preemption:
    """The signals that came and were not obeyed yet. ``listening`` makes it hear; without it, nothing ever comes."""

    def __init__(self) -> None:
        self._came: set[int] = set()
        self._before: dict[int, Any] = {}
        self._interrupted: float | None = None
        self._terminals: list[int] = []

    @property
    def first(self) -> int | None:
        """The signal to obey first; None when none came."""
        return max(self._came, key=ENDING.index, default=None)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear signals in this block. What is ignored stays so, as under nohup; only a main thread can hear.

        What came too late to be obeyed in the block is sent again after it, to whoever listened before.
        A rank that heard the same signal before this block has left already, and an exchange with it fails here: where
        a launcher is to decide, an error after a signal is that signal obeyed, from the newest checkpoint.
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
        """End, the state being saved. Whoever had a handler before, such as a launcher, decides how: it is called, and
        when it returns the training is to go on."""
        self._came.discard(number)
        if (decide := self._launcher(number)) is None:
            raise Stopped(number)
        decide(number, None)

    def _launcher(self, number: int) -> Callable[[int, None], Any] | None:
        """The handler that somebody had for it before; Python's own does not count."""
        handler = self._before.get(number)
        return handler if callable(handler) and handler is not signal.default_int_handler else None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came.add(number)
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
        """A closed terminal makes an error of every word that is still said, and that must not end a training."""
        with open(os.devnull, "wb") as nowhere:
            for terminal in self._terminals:
                os.dup2(nowhere.fileno(), terminal)


def sheltered(items: Iterable[T]) -> Iterator[T]:
    """``items``, the first of them fetched while signals are held back: what starts with it, such as loader workers,
    never hears them. They go to whole process groups, and a worker that dies of one takes the training along."""
    others = set(multiprocessing.active_children())
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        every = iter(items)
        first = list(itertools.islice(every, 1))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        if deaf := set(multiprocessing.active_children()) - others:
            atexit.register(_kill, deaf)
    yield from first
    yield from every


def _kill(deaf: set[Any]) -> None:
    """At exit, before multiprocessing asks its children to end by a SIGTERM that these never hear, and waits."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's would raise an error for each
    for child in deaf:
        child.kill()
