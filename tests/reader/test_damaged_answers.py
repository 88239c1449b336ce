"""A database of answers that was damaged or edited is refused: no table is made of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from reading_folders import reading_folder
from reading_servers import Served

from mammogan.errors import UserError
from mammogan.io.atomic import sha256, write_json
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.key import KeyImage, ReadingKey, Role
from mammogan.reader.readings import read_folder
from mammogan.reader.serving.database import DATABASE, connect

PAGE = 4096


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study, its key, and the answers of one reader to all but the last session, in one file."""
    root = tmp_path_factory.mktemp("answered")
    folder = reading_folder(root / "reading", counts=(20, 20, 20, 2, 3))
    with_key(folder, root / "key.json")
    server = Served(folder)
    reader = server.reader("R1")
    for session in folder.load().sessions[:-1]:
        reader.finish(session.number, ["real"] * len(session.places))
    server.store.close()
    with closing(sqlite3.connect(root / "reading" / DATABASE)) as database:
        database.execute("pragma journal_mode = delete")
    return root


@pytest.fixture
def read(once: Path, tmp_path: Path) -> Iterator[Path]:
    yield Path(shutil.copytree(once, tmp_path / "copy"))


def with_key(folder: ReadingFolder, path: Path) -> None:
    plan = folder.load()
    roles: tuple[Role, ...] = ("real", "fake", "difference")
    images = [
        KeyImage(name, session.number, role, name, "", name, "test", "positive", "positive")
        for session in plan.sessions
        for place in session.places
        for name, role in zip(place.images, roles, strict=False)
    ]
    key = ReadingKey(plan.name, plan.identity, 0, {}, {}, tuple(images), (0, 1), 1, (), {}, ())
    key.save(path)
    write_json(folder.plan_file, replace(plan, key_sha256=sha256(path)).to_json())


def answers_of(root: Path) -> object:
    return read_folder(root / "reading", root / "key.json")


def test_a_page_of_the_file_that_holds_what_another_does_is_refused_or_changes_nothing(read: Path) -> None:
    sound, file = answers_of(read), read / "reading" / DATABASE
    content, refused = file.read_bytes(), 0
    pages = len(content) // PAGE
    for page in range(1, pages):
        for other in (page - 1, page + 1):
            if other < pages:
                copied = content[other * PAGE : (other + 1) * PAGE]
                file.write_bytes(content[: page * PAGE] + copied + content[(page + 1) * PAGE :])
                try:
                    assert answers_of(read) == sound, (page, other)
                except UserError as error:
                    assert "put a copy in its place" in str(error)
                    refused += 1
    assert refused >= pages / 2


FOREIGN = """create trigger turned after insert on answer begin
    update answer set answer = 'unsure' where request = new.request; end"""


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (FOREIGN, "it has one trigger or more that the server never makes"),
        ("drop trigger answer_update", "its trigger answer_update is missing"),
        (
            "drop trigger answer_update; create trigger answer_update before update on answer begin select 1; end",
            "its trigger answer_update was changed",
        ),
    ],
)
def test_a_trigger_that_is_not_the_servers_is_refused_by_the_server_and_by_the_tables(
    read: Path, edit: str, told: str
) -> None:
    folder = ReadingFolder(read / "reading")
    connect(folder.path / DATABASE, folder.load()).close()
    with closing(sqlite3.connect(folder.path / DATABASE)) as database:
        database.executescript(edit)
    with pytest.raises(UserError, match=rf"reading.sqlite cannot be read: {told}.*put a copy in its place"):
        answers_of(read)
    with pytest.raises(UserError, match=rf"reading.sqlite cannot be used: {told}.*put a copy"):
        connect(folder.path / DATABASE, folder.load())


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ("update place set images = 'another' where position = 0", "other images, or to other readers"),
        ("create unique index once on answer (answer)", "it has one index or more that the server never makes"),
        ("alter table event add column more text", "its table event was changed"),
    ],
)
def test_a_database_that_would_show_or_store_anything_else_is_not_served(read: Path, edit: str, told: str) -> None:
    folder = ReadingFolder(reading_folder(read / "unread").path)
    connect(folder.path / DATABASE, folder.load()).close()
    with closing(sqlite3.connect(folder.path / DATABASE)) as database, no_triggers(database):
        database.execute(edit)
    with pytest.raises(UserError, match=rf"reading.sqlite cannot be used: .*{told}.*put a copy"):
        connect(folder.path / DATABASE, folder.load())


@contextmanager
def no_triggers(database: sqlite3.Connection) -> Iterator[None]:
    """Put the triggers aside, as somebody does who edits rows, and put them back."""
    triggers = database.execute("select name, sql from sqlite_master where type = 'trigger'").fetchall()
    for name, _ in triggers:
        database.execute(f"drop trigger {name}")
    yield
    for _, statement in triggers:
        database.execute(statement)
    database.commit()


UNGUARDED = """
create table loose as select * from answer;
drop table answer;
alter table loose rename to answer;
"""
"""The answers as anybody's tool may write them: without the triggers and the rules of the server's table."""
LAST = "reader = 1 and session = 3 and position = (select max(position) from answer where session = 3)"


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ("insert into answer select * from answer where session = 3", "session 3: 40 answers to 20 places"),
        (f"delete from answer where {LAST}", "after one that is not finished"),
        ("delete from answer where session = 4 and position = 0", "a place is answered twice, or passed over"),
        ("update answer set position = 0 where session = 4", "an answer to other images than place 1 shows"),
        (f"update answer set position = 99 where {LAST}", "session 3: an answer to place 100 of 20"),
        (f"update answer set images = 'another' where {LAST}", "an answer to other images than place 20 shows"),
        (f"update answer set answer = 'maybe' where {LAST}", "an answer that cannot be chosen there"),
        (f"update answer set answer = 'seen' where {LAST}", "an answer that cannot be chosen there"),
        (f"update answer set cancer = '7' where {LAST}", "question about cancer"),
        (f"update answer set click_x = -1, click_y = 3 where {LAST}", "a click beside the image"),
        (f"update answer set answered_ms = 5 where {LAST}", "times that cannot be"),
        (f"update answer set reader = 7 where {LAST}", "1 answers are of a reader or a session that it does not have"),
        (
            "update reader set name = 'Jane Doe' where id = 1",
            "a reader or a session that the plan does not have; .*and more",
        ),
        ("delete from study where key = 'identity'", "it does not say of which drawing it is"),
    ],
)
def test_an_answer_that_the_server_never_stores_is_refused_with_what_to_do(read: Path, edit: str, told: str) -> None:
    with closing(sqlite3.connect(read / "reading" / DATABASE)) as database:
        with no_triggers(database):
            database.executescript(UNGUARDED)
        answers_of(read)
        with no_triggers(database):
            database.execute(edit)
    with pytest.raises(UserError, match=rf"reading.sqlite is damaged: .*{told}.*put a copy in its place") as caught:
        answers_of(read)
    assert "Jane" not in str(caught.value)


def test_answers_of_what_was_never_shown_are_refused(read: Path) -> None:
    with closing(sqlite3.connect(read / "reading" / DATABASE)) as database:
        with no_triggers(database):
            database.execute("delete from shown where session = 2")
    with pytest.raises(UserError, match="cannot be read: it has an answer to what was never shown"):
        answers_of(read)
