"""Opens the database of a reading folder: made once from the plan, on a local disk, by one server at a time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from mammogan.errors import UserError
from mammogan.io.own_files import file_exists
from mammogan.reader.plan import ReadingPlan
from mammogan.reader.serving.schema import TABLES, TRIGGERS

DATABASE, LOCK = "reading.sqlite", "server.lock"
KINDS = ("index", "table", "trigger", "view")
NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "fuse.sshfs", "fuse.rclone", "davfs")
"""Beginnings of the names of file systems on which SQLite's write-ahead log is not safe."""
BUSY_SECONDS = 3
"""How long to wait for another program, such as an export, before saying that the database is busy."""
MOUNTS = Path("/proc/self/mounts")


def connect(file: Path, plan: ReadingPlan) -> sqlite3.Connection:
    """Open the database beside the plan, and make it from the plan where there is none.

    Raise UserError if it belongs to another drawing, is damaged, cannot be written, or is on a network file system.
    """
    if found := network_file_system(file.parent):
        raise UserError(
            f"{file.parent} is on a network file system ({found}), on which answers could be lost; copy the folder to "
            "a disk of this machine, serve it there, and copy it back when the readers have finished"
        )
    try:
        return _opened(file, plan)
    except sqlite3.Error as error:
        raise UserError(
            f"{file} cannot be used: {error}. The folder and this file must be writable for you, on a disk with free "
            "space; if the file is damaged, keep it and put a copy from your backup in its place"
        ) from error


def _opened(file: Path, plan: ReadingPlan) -> sqlite3.Connection:
    if not file_exists(file):
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
    database = sqlite3.connect(file, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
    database.execute("pragma foreign_keys = on")
    (mode,) = database.execute("pragma journal_mode = wal").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError(f"this file system allows no write-ahead log (journal mode {mode})")
    database.execute("pragma synchronous = full")
    with_tables = database.execute("select count(*) from sqlite_master where name = 'study'").fetchone()[0]
    if not with_tables:
        _fill(database, plan)
    (found,) = database.execute("pragma quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    refuse_other_rules(database)
    identity = dict(database.execute("select key, value from study"))["identity"]
    if identity != plan.identity:
        raise UserError(
            f"{file} has the answers of another drawing; move it away if this study is to begin, or put the folder "
            "that belongs to it in its place"
        )
    if set(database.execute("select reader, session, position, images from place")) != set(_places(plan)):
        raise sqlite3.DatabaseError("it shows other images, or to other readers, than the plan")
    return database


def refuse_other_rules(database: sqlite3.Connection, kinds: Collection[str] = KINDS) -> None:
    """Raise sqlite3.DatabaseError unless tables, indexes and triggers, or what ``kinds`` says, are those of schema.py.

    A trigger that is missing lets answers be changed, and one that is not ours can change them while they are stored.
    """
    with closing(sqlite3.connect(":memory:")) as ours:
        for statement in _statements():
            ours.execute(statement)
        expected, found = _rules(ours), _rules(database)
    for kind, name in sorted(expected.keys() | found.keys()):
        if kind in kinds and (rule := expected.get((kind, name))) != found.get((kind, name)):
            if not rule:  # whose name anybody may have chosen
                raise sqlite3.DatabaseError(f"it has one {kind} or more that the server never makes")
            raise sqlite3.DatabaseError(f"its {kind} {name} {'was changed' if (kind, name) in found else 'is missing'}")


def _rules(database: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Return the text of every table, index and trigger by its kind and name; SQLite's own are left out."""
    query = "select type, name, sql from sqlite_master where name not like 'sqlite\\_%' escape '\\'"
    return {(kind, name): " ".join(str(sql).split()) for kind, name, sql in database.execute(query)}


def _statements() -> list[str]:
    tables = [f"{part.strip()};" for part in TABLES.split(";") if part.strip()]
    return tables + [f"{line}\n" for line in TRIGGERS.replace("end;\n", "end;\0").split("\0") if line.strip()]


def _places(plan: ReadingPlan) -> list[tuple[int, int, int, str]]:
    return [
        (number, session.number, position, " ".join(place.images))
        for number, reader in enumerate(plan.readers, 1)
        for session in plan.sessions
        for position, place in enumerate(plan.order_of(reader, session.number))
    ]


def _fill(database: sqlite3.Connection, plan: ReadingPlan) -> None:
    """Copy the plan's readers, sessions and places: all of it or, after a crash, nothing."""
    database.execute("begin immediate")
    for statement in _statements():
        database.execute(statement)
    database.executemany("insert into reader (id, name) values (?, ?)", enumerate(plan.readers, 1))
    database.executemany("insert into session values (?, ?)", [(one.number, one.kind) for one in plan.sessions])
    database.executemany("insert into place values (?, ?, ?, ?)", _places(plan))
    values = {"identity": plan.identity, "name": plan.name, "simulated": str(int(plan.simulated))}
    database.executemany("insert into study values (?, ?)", values.items())
    database.execute("commit")


def lock(folder: Path) -> sqlite3.Connection:
    """Take the folder for this process, until it ends; keep what is returned. Raise UserError if another server has it.

    The lock is SQLite's own, in a file that holds nothing: it works on every system and dies with the process.
    """
    try:
        held = sqlite3.connect(folder / LOCK, isolation_level=None, timeout=0, check_same_thread=False)
        held.execute("pragma journal_mode = delete")
        held.execute("begin exclusive")
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise UserError(
                f"{folder} is being served already, by another process on this machine; use that one, or stop it first"
            ) from error
        raise UserError(f"{folder} cannot be written ({error}); the server keeps its answers there") from error
    return held


def network_file_system(folder: Path, mounts: Path = MOUNTS) -> str:
    """Return the type of the network file system that a folder is on; empty if it is local or cannot be known."""
    if not mounts.is_file():
        return ""
    there = str(folder.resolve())
    best, kind = "", ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split(" ")
        point = words[1].encode().decode("unicode_escape")
        if (there == point or there.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, words[2]
    return kind if kind.startswith(NETWORK) else ""
