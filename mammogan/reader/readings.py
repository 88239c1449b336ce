"""Joins the answers of a served reading folder with the private key: what was said, and what it was.

Only here do answers and truth meet, on the machine where the study was drawn.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.errors import MissingInput, UserError
from mammogan.io.own_files import file_exists
from mammogan.reader.answer_checks import fault_of
from mammogan.reader.detector_scores import DetectorScore, images_to_score, read_scores
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.key import KeyImage, ReadingKey
from mammogan.reader.plan import ReadingPlan
from mammogan.reader.serving.database import DATABASE, refuse_other_rules
from mammogan.reader.serving.page_messages import SEEN
from mammogan.reader.serving.progress import EXPORTED
from mammogan.reader.serving.store import Store
from mammogan.reader.serving.times import Times
from mammogan.reader.statistics.answers import Answer

REMEDY = (
    "Keep it, and put a copy in its place: the whole folder from the machine that serves it, with reading.sqlite-wal "
    "where there is one, or last evening's backup"
)


@dataclass(frozen=True)
class Sitting:
    """What one reader did in one session: places completed of all, reading time, and time with breaks."""

    reader: str
    session: int
    done: int
    total: int
    milliseconds: int
    wall_milliseconds: int


@dataclass(frozen=True)
class Readings:
    """Everything that readers did in one study, with the truth."""

    plan: ReadingPlan
    key: ReadingKey
    answers: tuple[Answer, ...]
    sittings: tuple[Sitting, ...]
    scores: tuple[DetectorScore, ...] = ()
    """What detectors made of the images of the mixed sessions; empty where none has read."""


def read_folder(folder: Path, key_file: Path) -> Readings:
    """Read the answers of a reading folder, also while it is being served.

    Raise UserError if folder, answers and key are not of one drawing, or a file of them was changed or is damaged.
    """
    plan = ReadingFolder(folder).load()
    key = ReadingKey.load_of(plan, key_file)
    rows = _rows(folder / DATABASE, plan)
    truth = {image.image: image for image in key.images}
    answers = [_answer(row, truth, plan) for row in rows if row["answer"] != SEEN]
    scores = read_scores(key_file.parent, images_to_score(plan, key))
    return Readings(plan, key, tuple(answers), tuple(_sittings(rows, plan)), scores)


def _rows(database: Path, plan: ReadingPlan) -> list[dict[str, Any]]:
    if not file_exists(database):
        raise MissingInput(f"{database.parent} has no answers ({database.name} is missing); serve it to readers first")
    try:
        opened = sqlite3.connect(f"file:{database.resolve().as_posix()}?mode=ro", uri=True, check_same_thread=False)
        with closing(opened):
            opened.execute("begin")  # all that follows is of one moment, also while readers go on
            identity = opened.execute("select value from study where key = 'identity'").fetchone()
            if identity is not None and identity[0] != plan.identity:
                raise UserError(f"{database} has the answers of another drawing than {database.parent}/reading.json")
            _refuse_damaged(opened)
            rows = [dict(zip(EXPORTED, row, strict=True)) for row in Store(opened).answers()]
            (stored,) = opened.execute("select count(*) from answer").fetchone()
    except sqlite3.Error as error:
        raise UserError(f"{database} cannot be read: {error}. {REMEDY}") from error
    fault = fault_of(rows, plan)
    if stored != len(rows):
        fault = f"{stored - len(rows)} answers are of a reader or a session that it does not have"
    if identity is None or fault:
        raise UserError(f"{database} is damaged: {fault or 'it does not say of which drawing it is'}. {REMEDY}")
    return rows


def _refuse_damaged(database: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError if the file is damaged, has an answer to what was never shown, or other triggers."""
    (found,) = database.execute("pragma integrity_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(" ".join(found.split()))
    if database.execute("pragma foreign_key_check").fetchone():
        raise sqlite3.DatabaseError("it has an answer to what was never shown")
    refuse_other_rules(database, ("trigger",))


def _answer(row: dict[str, Any], truth: dict[str, KeyImage], plan: ReadingPlan) -> Answer:
    image = truth.get(row["images"].split(" ")[0])
    if image is None or image.role == "difference":
        raise UserError(f"session {row['session']} has an answer to an image that the key does not have as shown alone")
    return Answer(
        reader=row["reader"],
        session=row["session"],
        position=row["position"],
        key=image.key,
        patient=image.patient,
        shown=image.role,
        label=image.label,  # type: ignore[arg-type]
        answer=row["answer"],
        milliseconds=_times(row, plan).reading,
        wall_milliseconds=_times(row, plan).wall,
        simulated=plan.simulated,
    )


def _times(row: dict[str, Any], plan: ReadingPlan) -> Times:
    return Times(row["shown_ms"], row["answered_ms"], row["client_ms"], row["away_ms"], plan.simulated)


def _sittings(rows: Sequence[dict[str, Any]], plan: ReadingPlan) -> list[Sitting]:
    done: Counter[tuple[str, int]] = Counter()
    reading: Counter[tuple[str, int]] = Counter()
    wall: Counter[tuple[str, int]] = Counter()
    for row in rows:
        at = row["reader"], row["session"]
        done[at] += 1
        reading[at] += _times(row, plan).reading
        wall[at] += _times(row, plan).wall
    return [
        Sitting(reader, session.number, done[at], len(session.places), reading[at], wall[at])
        for reader in plan.readers
        for session in plan.sessions
        if (at := (reader, session.number))
    ]
