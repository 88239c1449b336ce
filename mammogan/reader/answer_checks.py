"""Check what readers answered against the plan: a damaged database may hold what its server never stores.

The database itself refuses such rows when they are written (serving/schema.py); here they are looked for when answers
are read, as a file may have been damaged, cut or edited since.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any

from mammogan.reader.plan import ANSWERS, Place, ReadingPlan, Session
from mammogan.reader.serving.page_messages import CANCER, SEEN

SHOWN = 3
"""Faults that a message names."""
TIMES = ("shown_ms", "answered_ms", "client_ms", "away_ms")
Row = Mapping[str, Any]


def fault_of(rows: Sequence[Row], plan: ReadingPlan) -> str:
    """Say what is wrong with answers, given as rows in the columns of progress.EXPORTED; empty if nothing is.

    Every answer must be of a reader and a place of the plan, to the images that are shown there, with a word that can
    be chosen there. A reader answers each place once, in the order of the plan.
    """
    faults = [*islice(_faults(rows, plan), SHOWN + 1)]
    return "; ".join([*faults[:SHOWN], *(["and more"] if len(faults) > SHOWN else [])])


def _faults(rows: Sequence[Row], plan: ReadingPlan) -> Iterator[str]:
    given: dict[tuple[str, int], list[Row]] = {(one, s.number): [] for one in plan.readers for s in plan.sessions}
    for row in rows:
        if (row["reader"], row["session"]) in given:
            given[row["reader"], row["session"]].append(row)
        else:
            yield "an answer of a reader or a session that the plan does not have"
    for (reader, number), own in given.items():
        for what in _of_sitting(own, plan.session(number), plan.order_of(reader, number), plan):
            yield f"reader {reader}, session {number}: {what}"
    for reader in plan.readers:
        counts = [(len(given[reader, session.number]), len(session.places)) for session in plan.sessions]
        if any(later[0] and earlier[0] < earlier[1] for earlier, later in pairwise(counts)):
            yield f"reader {reader}: answers of a session that begins after one that is not finished"


def _of_sitting(own: Sequence[Row], session: Session, places: Sequence[Place], plan: ReadingPlan) -> Iterator[str]:
    """Yield what is wrong with the answers of one reader in one session; ``places`` in the order of reading."""
    for row in own:
        yield from _of_answer(row, session, places, plan)
    if len(own) > len(places):
        yield f"{len(own)} answers to {len(places)} places"
    elif sorted(row["position"] for row in own) != list(range(len(own))):
        yield "a place is answered twice, or passed over"


def _of_answer(row: Row, session: Session, places: Sequence[Place], plan: ReadingPlan) -> Iterator[str]:
    if row["kind"] != session.kind or row["simulated"] != str(int(plan.simulated)):
        yield "it is not the session that was drawn"
    if not 0 <= row["position"] < len(places):
        yield f"an answer to place {row['position'] + 1} of {len(places)}"
    elif row["images"] != " ".join(places[row["position"]].images):
        yield f"an answer to other images than place {row['position'] + 1} shows"
    if row["answer"] not in (ANSWERS if session.asks else (SEEN,)):
        yield "an answer that cannot be chosen there"
    if row["cancer"] not in (CANCER[plan.questions.cancer] if session.asks else (None,)):
        yield "an answer to the question about cancer that cannot be chosen there"
    if not (_within(row["click_x"], plan.width) and _within(row["click_y"], plan.height)):
        yield "a click beside the image"
    if any(row[name] < 0 for name in TIMES) or row["answered_ms"] < row["shown_ms"]:
        yield "times that cannot be"


def _within(click: float | None, limit: int) -> bool:
    return click is None or 0 <= click <= limit
