"""Shows the coordinator how far the readers are: counts, minutes and times, never answers or truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mammogan.io import tables
from mammogan.io.atomic import PRIVATE
from mammogan.reader.serving.store import Store

QUIET_MS = 60_000
"""A reader whose page has reported nothing for so long has closed it."""


@dataclass(frozen=True)
class SessionProgress:
    """How far one reader is in one session."""

    number: int
    done: int
    total: int
    minutes: float
    """Reading time, breaks left out."""


@dataclass(frozen=True)
class ReaderProgress:
    """How far one reader is."""

    name: str
    link: str
    """valid, revoked, or none."""
    consented: bool
    status: str
    """not begun, reading, break, away or finished."""
    last_ms: int | None
    """When the reader's page last reported anything; Unix time in ms."""
    renderer: str
    """Viewer of the reader's last display check: canvas or webgl2."""
    sessions: tuple[SessionProgress, ...]


def progress(store: Store) -> list[ReaderProgress]:
    """Return the progress of every reader, in the order of the plan."""
    return [_of_reader(store, *row) for row in store.readers()]


def _of_reader(
    store: Store, reader: int, name: str, has_token: int, consent: int | None, revoked: int | None
) -> ReaderProgress:
    statuses, minutes = store.sessions(reader), store.minutes(reader)
    last_ms, last_kind, renderer = store.last_event(reader)
    sessions = tuple(
        SessionProgress(one.session, one.done, one.total, minutes.get(one.session, 0.0)) for one in statuses
    )
    if all(one.finished for one in statuses):
        status = "finished"
    elif last_ms is None:
        status = "not begun"
    elif store.clock.now() - last_ms > QUIET_MS:
        status = "away"
    else:
        status = "break" if last_kind == "pause" else "reading"
    link = "revoked" if revoked else "valid" if has_token else "none"
    return ReaderProgress(name, link, consent is not None, status, last_ms, renderer, sessions)


EXPORTED = (
    "reader", "session", "kind", "position", "images", "answer", "cancer", "click_x", "click_y", "shown_ms",
    "answered_ms", "client_ms", "away_ms", "simulated",
)  # fmt: skip


def export(store: Store, out: Path) -> int:
    """Write all answers so far as CSV, without truth, readable by its owner only; return their number.

    Reading may go on meanwhile. Times are Unix time in ms; positions count from 0; images are names.
    """
    rows = store.answers()
    tables.write(out, EXPORTED, rows, PRIVATE)
    return len(rows)


def lines(store: Store) -> Iterator[str]:
    """Yield one line of text a reader, for a terminal."""
    for reader in progress(store):
        sessions = ", ".join(f"{one.number}: {one.done}/{one.total}" for one in reader.sessions)
        yield f"{reader.name}: {reader.status}; sessions {sessions}"
