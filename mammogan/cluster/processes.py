"""Starts child processes and stops them all when this process ends: first a signal, then SIGTERM, then kill."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, Any

from mammogan.errors import NotStarted

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that ask us to end; SIGHUP comes when the terminal is closed."""

TOO_MANY = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""Numbers of errors with which the system refuses a further process: there are too many, or memory is short."""


class Terminated(SystemExit):
    """Raised when one of ENDING arrives; exit code 128 + its number (143 or 129), as in a shell."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


def start(words: Sequence[str], environment: dict[str, str], output: IO[Any] | int | None) -> subprocess.Popen[str]:
    """Start a child in its own session, so that Ctrl-C reaches it only through us, and once.

    ``output``: where its stdout and stderr go; None: to our own. Raises NotStarted if the system starts no more.
    """
    try:
        return subprocess.Popen(
            words,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        if error.errno in TOO_MANY:
            raise NotStarted(error) from error
        raise


def stop(children: Iterable[subprocess.Popen[str]], first: signal.Signals, patience: float) -> None:
    """Send ``first``, after ``patience`` seconds SIGTERM, then kill everything left in each child's session."""
    stopped = [child for child in children if child.poll() is None]
    for number, seconds in ((first, patience), (signal.SIGTERM, 5.0)):
        for child in stopped:
            child.send_signal(number)
        deadline = time.monotonic() + seconds
        while any(child.poll() is None for child in stopped) and time.monotonic() < deadline:
            time.sleep(0.05)
    for child in stopped:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def exit_code(child: subprocess.Popen[str]) -> int:
    """Return a child's exit code as a shell does: 128 + the number of the signal that ended it."""
    code = child.wait()
    return 128 - code if code < 0 else code


@contextmanager
def stopping_on_exit(children: list[subprocess.Popen[str]], patience: float) -> Iterator[None]:
    """Stop the children when the block ends for any reason: Ctrl-C, SIGTERM and a closed terminal too.

    Signals that are ignored stay ignored: under nohup the work outlives its terminal.
    """

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    heard = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, terminate) for number in heard}
    first = signal.SIGTERM
    try:
        yield
    except KeyboardInterrupt:
        first = signal.SIGINT
        raise
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_IGN)
        stop(children, first, patience)
        for number, handler in before.items():
            signal.signal(number, handler)
