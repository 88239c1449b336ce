"""Joins the answers of a served reading folder with the private key: what was said, and what it was.

Only here do answers and truth meet, on the machine where the study was drawn.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import sha256
from mammogan.io.own_files import file_exists
from mammogan.reader.detector_scores import DetectorScore, read_scores
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.key import MIXED_SESSIONS, KeyImage, ReadingKey
from mammogan.reader.plan import ReadingPlan
from mammogan.reader.serving.database import DATABASE
from mammogan.reader.serving.page_messages import SEEN
from mammogan.reader.serving.progress import EXPORTED
from mammogan.reader.serving.store import Store
from mammogan.reader.serving.times import Times
from mammogan.reader.statistics.answers import Answer


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

    Raise UserError if folder, answers and key are not of one drawing, or a file of them was changed.
    """
    plan = ReadingFolder(folder).load()
    key = ReadingKey.load(key_file)
    if plan.identity != key.identity:
        raise UserError(
            f"{key_file} is the key of another drawing than {folder}; give the key of this study with --key"
        )
    if plan.key_sha256 != sha256(key_file):
        raise UserError(f"{key_file} was changed after the study was drawn, so its truth cannot be believed")
    rows = [dict(zip(EXPORTED, row, strict=True)) for row in _rows(folder / DATABASE, plan)]
    truth = {image.image: image for image in key.images}
    answers = [_answer(row, truth, plan) for row in rows if row["answer"] != SEEN]
    mixed = {image.image for image in key.images if image.session in MIXED_SESSIONS}
    scores = read_scores(key_file.parent, mixed)
    return Readings(plan, key, tuple(answers), tuple(_sittings(rows, plan)), scores)


def _rows(database: Path, plan: ReadingPlan) -> list[tuple[Any, ...]]:
    if not file_exists(database):
        raise MissingInput(f"{database.parent} has no answers ({database.name} is missing); serve it to readers first")
    try:
        opened = sqlite3.connect(f"file:{database.resolve().as_posix()}?mode=ro", uri=True, check_same_thread=False)
        (identity,) = opened.execute("select value from study where key = 'identity'").fetchone()
        if identity != plan.identity:
            raise UserError(f"{database} has the answers of another drawing than {database.parent}/reading.json")
        rows = Store(opened).answers()
        opened.close()
        return rows
    except sqlite3.Error as error:
        raise UserError(f"{database} cannot be read: {error}; take it from your backup, or copy it again") from error


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
