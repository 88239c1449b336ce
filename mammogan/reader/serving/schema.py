"""Defines the server's database, and its triggers by which reading goes forward only.

They stand here so that no bug of the server can undo it. A study of several readers is one SQLite file. Places and
images are copied from the plan once; after that only rows are added. Rows of ``shown``, ``answer`` and ``event`` are
never changed or deleted, and the position of an answer is always the number of answers before it: nothing else says
where a reader is. Times are Unix time in milliseconds.
"""

from __future__ import annotations

TABLES = """
create table study (
    key text primary key, value text not null
) strict, without rowid;
create table reader (
    id integer primary key, name text not null unique, token_sha256 blob unique, consent_ms int, revoked_ms int
) strict;
create table session (
    number int primary key, kind text not null check (kind in ('known', 'blind', 'triplet', 'feedback'))
) strict, without rowid;
create table place (
    reader int not null references reader, session int not null references session, position int not null,
    images text not null, primary key (reader, session, position)
) strict, without rowid;
create table shown (
    reader int not null, session int not null, position int not null, at_ms int not null,
    primary key (reader, session, position),
    foreign key (reader, session, position) references place
) strict, without rowid;
create table answer (
    reader int not null, session int not null, position int not null, images text not null,
    answer text not null check (answer in ('real', 'not real', 'unsure', 'seen')),
    cancer text, click_x real, click_y real,
    request blob not null unique check (length(request) = 16),
    shown_ms int not null, answered_ms int not null, client_ms int not null, away_ms int not null, client text not null,
    primary key (reader, session, position),
    foreign key (reader, session, position) references shown
) strict, without rowid;
create table event (
    id integer primary key autoincrement, reader int not null references reader, session int, position int,
    kind text not null, at_ms int not null, details text not null
) strict;
create index event_of_reader on event (reader, session, kind);
"""
"""``study``: identity of the plan. ``place``: who sees what, when; ``images`` are names, separated by blanks.
``answer.answer`` is seen where nothing is asked. ``client_ms`` and ``away_ms`` are the browser's clock: reading, and
breaks."""


def _refuse(name: str, when: str, condition: str, words: str) -> str:
    return f"create trigger {name} before {when} {condition} begin select raise(abort, '{words}'); end;\n"


def _kept(table: str) -> str:
    words = f"rows of {table} are never changed or deleted"
    return "".join(_refuse(f"{table}_{verb}", f"{verb} on {table}", "", words) for verb in ("update", "delete"))


_ANSWERS = "(select count(*) from answer where reader = new.reader and session = new.session)"
_EARLIER = """exists (
    select 1 from place left join answer using (reader, session, position)
    where place.reader = new.reader and place.session < new.session and answer.answer is null)"""
_WRONG_WORD = """(new.answer = 'seen') is not
    (select kind in ('known', 'triplet') from session where number = new.session)"""
_OTHER_IMAGES = """new.images is not (select images from place
    where reader = new.reader and session = new.session and position = new.position)"""

TRIGGERS = (
    "".join(_kept(table) for table in ("study", "session", "place", "shown", "answer", "event"))
    + _refuse("answer_next", "insert on answer", f"when new.position <> {_ANSWERS}", "not the next image")
    + _refuse("answer_order", "insert on answer", f"when {_EARLIER}", "an earlier session is not finished")
    + _refuse("answer_word", "insert on answer", f"when {_WRONG_WORD}", "not an answer of this session")
    + _refuse("answer_images", "insert on answer", f"when {_OTHER_IMAGES}", "not the images of this place")
    + _refuse("shown_next", "insert on shown", f"when new.position <> {_ANSWERS}", "not the next image")
    + _refuse("shown_order", "insert on shown", f"when {_EARLIER}", "an earlier session is not finished")
    + _refuse(
        "shown_once", "insert on shown",
        "when exists (select 1 from shown where (reader, session, position) = (new.reader, new.session, new.position))",
        "already shown",
    )
    + _refuse("event_new", "insert on event", "when exists (select 1 from event where id = new.id)", "already there")
    + _refuse("place_sealed", "insert on place", "when exists (select 1 from study)", "the study is sealed")
    + _refuse("session_sealed", "insert on session", "when exists (select 1 from study)", "the study is sealed")
    + _refuse("reader_kept", "delete on reader", "", "readers are never deleted")
)  # fmt: skip
"""``insert or replace`` deletes without asking the delete triggers; the insert triggers refuse it."""
