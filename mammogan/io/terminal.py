"""Shows progress: a live bar on a terminal, a plain line from time to time in a log file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def say(text: str) -> None:
    """Print one line and flush, so that it appears in a log file at once."""
    print(text, flush=True)


def say_on_stderr(text: str) -> None:
    """Print on stderr how something was decided; only the first rank prints."""
    if os.environ.get("RANK", "0") == "0":
        print(text, file=sys.stderr, flush=True)


def in_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines in which each column is as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def track(items: Iterable[T], total: int, doing: str, every_seconds: float = 15.0) -> Iterator[T]:
    """Yield ``items``, showing how many of ``total`` are done, the rate and the time left.

    On a terminal a bar is drawn; elsewhere (a SLURM log, CI) a line is printed every ``every_seconds`` and at the end.
    """
    if sys.stdout.isatty():
        yield from _bar(items, total, doing)
    else:
        yield from _lines(items, total, doing, every_seconds)


def _bar(items: Iterable[T], total: int, doing: str) -> Iterator[T]:
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns) as bar:
        yield from bar.track(items, total=total, description=doing)


def _lines(items: Iterable[T], total: int, doing: str, every_seconds: float) -> Iterator[T]:
    start = last = time.monotonic()
    first = None
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        # The first item also waits until all processes have started, which says nothing about the rate.
        first = first or now
        if now - last >= every_seconds and done < total:
            last = now
            rate = (done - 1) / (now - first) if now > first else 0
            left = f", {rate:.1f}/s, {duration((total - done) / rate)} left" if rate else ""
            say(f"{doing}: {done} of {total}{left}")
    say(f"{doing}: {done} of {total} in {duration(time.monotonic() - start)}")


def duration(seconds: float) -> str:
    """Return seconds as text: '42 s', '3 min 05 s' or '2 h 07 min'."""
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.0f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
