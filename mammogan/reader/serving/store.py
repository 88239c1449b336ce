"""Keeps what readers do: where each one is, what was shown, what was answered. The only writer of the database.

An answer is on the disk before ``answer`` returns (write-ahead log, synchronous FULL). A failed write raises
sqlite3.OperationalError and leaves nothing behind.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mammogan.reader.serving.times import Times

MOST_EVENTS = 50_000
"""Events that are kept of one reader: a page left open reports one every 15 s, so this is more than a week of it."""
RENDERERS = ("canvas", "webgl2")
"""Viewers that the page chooses from (page/viewer.js)."""


@dataclass(frozen=True)
class Status:
    """How far a reader is in one session."""

    session: int
    done: int
    total: int
    begun: bool
    """Whether the reader has read the instructions and pressed Start."""

    @property
    def finished(self) -> bool:
        return self.done == self.total


@dataclass(frozen=True)
class Answer:
    """What a reader confirmed for one place."""

    position: int
    answer: str
    """real, not real or unsure; seen where nothing is asked."""
    request: bytes
    """16 random bytes of the browser: the same request twice is one answer."""
    client: dict[str, Any]
    """The browser's clock (ms, away_ms) and how often each tool was used."""
    cancer: str | None = None
    click: tuple[float, float] | None = None


class Refused(Exception):
    """Says why a reader may not do this now; the reader is elsewhere."""


class TooMany(Exception):
    """Reports more events than any reading has. Answers are never too many."""


class Clock:
    """Unix time in ms that never runs backwards: not when the machine's clock is set, and not after a restart."""

    def __init__(self, last_ms: int) -> None:
        self._start = max(last_ms, time.time_ns() // 1_000_000)
        self._since = time.monotonic()

    def now(self) -> int:
        """Return the time now."""
        return self._start + int((time.monotonic() - self._since) * 1000)


class Store:
    """One connection, one lock, one process (database.lock)."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._lock = threading.Lock()
        (last,) = database.execute(
            """select coalesce(max(at), 0) from (select max(answered_ms) as at from answer
               union all select max(at_ms) from event union all select max(at_ms) from shown)"""
        ).fetchone()
        self.clock = Clock(last)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for reads and writes that happen together or not at all."""
        with self._lock:
            self._database.execute("begin immediate")
            try:
                yield self._database
                self._database.execute("commit")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("rollback")
                raise

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def reader(self, token_sha256: bytes) -> tuple[int, str] | None:
        """Return id and name of the reader whose link has this token; None if there is none or it was revoked."""
        rows = self._rows("select id, name from reader where token_sha256 = ? and revoked_ms is null", token_sha256)
        return rows[0] if rows else None

    def has_token(self, name: str) -> bool:
        """Return whether this reader was ever given a link."""
        return bool(self._rows("select 1 from reader where name = ? and token_sha256 is not null", name))

    def give_token(self, name: str, token_sha256: bytes) -> None:
        """Let a new link lead to this reader; the one before ends."""
        with self._transaction() as database:
            database.execute(
                "update reader set token_sha256 = ?, revoked_ms = null where name = ?", (token_sha256, name)
            )

    def revoke(self, name: str) -> None:
        """End this reader's link; the answers stay."""
        with self._transaction() as database:
            database.execute("update reader set revoked_ms = ? where name = ?", (self.clock.now(), name))

    def consented(self, reader: int) -> bool:
        """Return whether the reader has agreed to take part."""
        return self._rows("select consent_ms from reader where id = ?", reader)[0][0] is not None

    def sessions(self, reader: int) -> list[Status]:
        """Return the reader's progress in all sessions, in their order."""
        with self._lock:
            return self._sessions(reader)

    def _sessions(self, reader: int) -> list[Status]:
        rows = self._database.execute(
            """select number,
               (select count(*) from answer where reader = ?1 and session = number),
               (select count(*) from place where reader = ?1 and session = number),
               exists (select 1 from event where reader = ?1 and session = number and kind = 'begin')
               from session order by number""",
            (reader,),
        )
        return [Status(number, done, total, bool(begun)) for number, done, total, begun in rows]

    def _open(self, reader: int, session: int, position: int | None = None) -> Status:
        """Return the status of the session that is open, if it is this one; else raise Refused."""
        now = next((status for status in self._sessions(reader) if not status.finished), None)
        if now is None or now.session != session:
            raise Refused("this session is not open")
        if position is not None and position != now.done:
            raise Refused("not the next image")
        return now

    def next_images(self, reader: int, session: int, position: int) -> list[str]:
        """Return the names of the images of the next place, and record nothing; raise Refused for another place."""
        with self._lock:
            self._refuse_other(reader, session, position)
            (images,) = self._database.execute(
                "select images from place where (reader, session, position) = (?, ?, ?)", (reader, session, position)
            ).fetchone()
            return str(images).split(" ")

    def show(self, reader: int, session: int, position: int) -> None:
        """Record that the next place is shown, if it is the first time; raise Refused for another place."""
        with self._transaction() as database:
            self._refuse_other(reader, session, position)
            at = (reader, session, position)
            where = "where (reader, session, position) = (?, ?, ?)"
            if not database.execute(f"select 1 from shown {where}", at).fetchone():
                database.execute("insert into shown values (?, ?, ?, ?)", (*at, self.clock.now()))

    def _refuse_other(self, reader: int, session: int, position: int) -> None:
        """Raise Refused unless this is the next place of a session that has begun."""
        if not self._open(reader, session, position).begun:
            raise Refused("this session has not begun")

    def spent(self, reader: int, session: int, position: int) -> dict[str, float]:
        """Return what an interrupted showing of this place has used: ms of reading as last reported, away_ms the rest
        until now. Both are 0 where it was not shown before."""
        at = (reader, session, position)
        shown = self._rows("select at_ms from shown where (reader, session, position) = (?, ?, ?)", *at)
        if not shown:
            return {"ms": 0, "away_ms": 0}
        reported = self._rows(
            """select max(json_extract(details, '$.ms')) from event where (reader, session, position) = (?, ?, ?)
               and kind in ('heartbeat', 'pause', 'resume')""",
            *at,
        )
        elapsed = self.clock.now() - shown[0][0]
        ms = min(float(reported[0][0] or 0), elapsed)
        return {"ms": ms, "away_ms": elapsed - ms}

    def answer(self, reader: int, session: int, given: Answer) -> None:
        """Store an answer to the place that is shown. The same request with the same answer again is no new one.

        Raise Refused for everything else: an earlier or later place, another answer, a place that was not shown.
        """
        with self._transaction() as database:
            at = (reader, session, given.position)
            where = "where (reader, session, position) = (?, ?, ?)"
            before = database.execute(f"select request, answer from answer {where}", at).fetchone()
            if before == (given.request, given.answer):
                return
            if before:
                raise Refused("already answered")
            if database.execute("select 1 from answer where request = ?", (given.request,)).fetchone():
                raise Refused("this request was an answer to another image")
            self._open(reader, session, given.position)
            shown = database.execute(f"select at_ms from shown {where}", at).fetchone()
            if not shown:
                raise Refused("not shown yet")
            (images,) = database.execute(f"select images from place {where}", at).fetchone()
            click = given.click or (None, None)
            times = (shown[0], self.clock.now(), round(given.client["ms"]), round(given.client["away_ms"]))
            client = json.dumps(given.client, allow_nan=False)
            row = (*at, images, given.answer, given.cancer, *click, given.request, *times, client)
            try:
                database.execute(f"insert into answer values ({', '.join('?' * len(row))})", row)
            except sqlite3.IntegrityError as error:
                raise Refused("the study's database does not take this answer") from error

    def event(self, reader: int, session: int, position: int | None, kind: str, details: dict[str, Any]) -> None:
        """Add an event of the session that is open: consent, display, begin, pause, resume or heartbeat.

        Consent is kept once, and begin once a session, however many other events there are. Raise Refused in another
        session, and TooMany beyond MOST_EVENTS of the other kinds.
        """
        with self._transaction() as database:
            begun, now = self._open(reader, session).begun, self.clock.now()
            if kind == "begin" and begun:
                return
            if kind == "consent":
                asked = "update reader set consent_ms = ? where id = ? and consent_ms is null"
                if not database.execute(asked, (now, reader)).rowcount:
                    return
            elif kind != "begin":
                (kept,) = database.execute("select count(*) from event where reader = ?", (reader,)).fetchone()
                if kept >= MOST_EVENTS:
                    raise TooMany(f"{MOST_EVENTS} events of this reader are kept, and no more; answers go on")
            database.execute(
                "insert into event (reader, session, position, kind, at_ms, details) values (?, ?, ?, ?, ?, ?)",
                (reader, session, position, kind, now, json.dumps(details, allow_nan=False)),
            )

    def readers(self) -> list[tuple[int, str, int, int | None, int | None]]:
        """Return id, name, whether a link was given, and when each reader consented and was revoked (ms, or None)."""
        return self._rows("select id, name, token_sha256 is not null, consent_ms, revoked_ms from reader order by id")

    def minutes(self, reader: int) -> dict[int, float]:
        """Return the minutes of reading by session, breaks left out."""
        rows = self._rows(
            """select session, shown_ms, answered_ms, client_ms, away_ms,
               (select value from study where key = 'simulated') = '1' from answer where reader = ?""",
            reader,
        )
        spent: dict[int, float] = {}
        for session, *times in rows:
            spent[session] = spent.get(session, 0.0) + Times(*times).reading / 60_000
        return spent

    def last_event(self, reader: int) -> tuple[int | None, str, str]:
        """Return time (ms) and kind of what the reader's page reported last, answers too, and the viewer it uses."""
        rows = self._rows(
            """select at_ms, kind from event where reader = ?1
               union all select answered_ms, 'answer' from answer where reader = ?1 order by 1 desc limit 1""",
            reader,
        )
        viewer = self._rows(
            "select details from event where reader = ? and kind = 'display' order by id desc limit 1", reader
        )
        at_ms, kind = rows[0] if rows else (None, "")
        # A database of an earlier version may hold anything here, such as text that cannot be shown.
        renderer = json.loads(viewer[0][0]).get("renderer") if viewer else ""
        return at_ms, kind, renderer if renderer in RENDERERS else ""

    def answers(self) -> list[tuple[Any, ...]]:
        """Return all answers in the columns of progress.EXPORTED."""
        return self._rows(
            """select name, session, kind, position, images, answer, cancer, click_x, click_y, shown_ms, answered_ms,
               client_ms, away_ms, (select value from study where key = 'simulated')
               from answer join reader on reader.id = answer.reader join session on number = session
               order by reader, session, position"""
        )

    def close(self) -> None:
        """Close the database; everything is stored already."""
        with self._lock:
            self._database.close()
