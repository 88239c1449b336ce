"""Run a function in one process that gets one item at a time and can be killed at any moment, even in native code."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from mammogan.errors import NotStarted, UserError

T = TypeVar("T")
R = TypeVar("R")

MEMORY = 2 << 30
"""Bytes that a process may take beyond its imports. The largest images, 100 million pixels, take 1.4e9."""
RECYCLE = 500
"""Items after which a process is replaced, so that memory leaks of native code do not add up."""
START_SECONDS = 600.0
"""Time limit for starting a process, which imports the function's module, perhaps from a slow network disk."""
DEATH_SECONDS = 5.0
"""A killed process has ended after this time, unless it is blocked in the kernel on a lost disk."""
LOOK_SECONDS = 1.0
"""Length of one step of waiting for an answer."""
PR_SET_PDEATHSIG = 1
"""Linux's number for the prctl option that sends a signal to a process when its parent dies."""
FIRST_VICTIM = "500"
"""Value of oom_score_adj: when the machine's memory runs out, the system kills such a process first."""


@dataclass(frozen=True)
class Lost:
    """An item without a result; ``why`` is "killed" when something else killed its process.

    The system does that when the machine's memory runs out.
    """

    why: Literal["timeout", "killed", "crashed"]
    detail: str


class Closed(Exception):
    """Raised when work is requested from a worker that has been closed."""


class Worker(Generic[T, R]):
    """Runs ``function`` in a separate process, which is started when needed and replaced after each loss.

    Only one thread at a time may call ``result``; any thread may call ``close``.
    """

    _processes = threading.Lock()  # multiprocessing reaps all children at each start, from any thread

    def __init__(self, function: Callable[[T], R]) -> None:
        self.function = function
        self._process: Any = None
        self._connection: Connection | None = None
        self._closed = False
        self._served = 0

    def result(self, item: T, seconds: float | None) -> R | Lost:
        """Return ``function(item)``, or Lost. Raises what the function raises, and UserError if no process starts.

        ``seconds``: time limit for the item; None: no limit.
        """
        connection = self._connection or self._start()
        try:
            connection.send(item)
            if not _answers(connection, seconds):
                self._stop()
                return Lost("timeout", f"no result after {seconds:g} s")
            returned, value = connection.recv()
        except (EOFError, OSError):
            return _loss(self._stop())
        self._served += 1
        if self._served >= RECYCLE:
            self._stop()
        if not returned:
            raise value
        result: R = value
        return result

    def close(self) -> None:
        """Kill the process if there is one, and start no other."""
        with self._processes:
            self._closed = True
            if self._process:
                self._process.kill()
                self._process.join(DEATH_SECONDS)

    def _start(self) -> Connection:
        # Spawned, not forked: a fork copies the locks of the libraries' threads, perhaps while they are held.
        context = get_context("spawn")
        try:
            own_end, child_end = context.Pipe()
        except OSError as error:
            raise NotStarted(error) from error
        with self._processes, child_end:
            if self._closed:
                raise Closed
            process = context.Process(target=_serve, args=(child_end, self.function, os.getpid()), daemon=True)
            try:
                process.start()
            except OSError as error:
                raise NotStarted(error) from error
            self._process, self._connection, self._served = process, own_end, 0
        try:
            if own_end.poll(START_SECONDS):
                own_end.recv()
                return own_end
        except EOFError:
            pass
        raise UserError(
            f"a process for the decoding did not start ({_loss(self._stop()).detail}); is memory short? give fewer "
            "--jobs"
        )

    def _stop(self) -> int | None:
        """Kill the process unless it is dead; return its exit code, None if it is still blocked in the kernel."""
        with self._processes:
            process, connection = self._process, self._connection
            self._process = self._connection = None
            if connection:
                connection.close()
            process.kill()  # does not change the exit code of a process that is already dying
            process.join(DEATH_SECONDS)
            code: int | None = process.exitcode
            return code


def _answers(connection: Connection, seconds: float | None) -> bool:
    """Return whether an answer came within ``seconds`` (None: wait without limit).

    It waits in short steps, so that a night in which both processes were stopped (Ctrl-Z, a sleeping laptop) counts as
    one step of LOOK_SECONDS, not as hours.
    """
    if seconds is None:
        return connection.poll(None)
    left = seconds
    while left > 0:
        if connection.poll(min(left, LOOK_SECONDS)):
            return True
        left -= LOOK_SECONDS
    return False


def _loss(code: int | None) -> Lost:
    if code is None or code >= 0:
        return Lost("crashed", f"its process ended with exit code {code}")
    ended = f"its process ended by {signal.Signals(-code).name}"
    return Lost("killed" if code == -signal.SIGKILL else "crashed", ended)


def _serve(connection: Connection, function: Callable[[Any], Any], parent: int) -> None:
    """Run in the process: answer items until the other end of the pipe closes."""
    _live_no_longer_than(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    _bound_memory()
    with suppress(EOFError, ConnectionError):
        connection.send(None)
        while True:
            connection.send(_outcome(function, connection.recv()))


def _outcome(function: Callable[[Any], Any], item: Any) -> tuple[bool, Any]:
    try:
        return True, function(item)
    except BaseException as error:  # otherwise it would end the process, with a traceback that quotes the item
        error.add_note(traceback.format_exc())
        return False, error


def _live_no_longer_than(parent: int) -> None:
    """End this process together with its parent, even in native code, which does not notice a closed pipe."""
    end_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def end_with_parent(number: signal.Signals) -> None:
    """Make Linux send this process a signal when its parent is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def _bound_memory() -> None:
    """Limit this process's memory, so that one huge file costs only itself.

    When many large files exhaust the machine's memory, the system kills a worker before any other process.
    """
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _lower(resource.RLIMIT_AS, in_use + MEMORY)
    _lower(resource.RLIMIT_CORE, 0)  # a crash must not leave a patient's pixels in a core file
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_VICTIM)


def _lower(kind: int, limit: int) -> None:
    soft, hard = resource.getrlimit(kind)
    if soft == resource.RLIM_INFINITY or soft > limit:
        resource.setrlimit(kind, (limit, hard))
