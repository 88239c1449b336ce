"""Table 3 (accuracy of each reader in each session), and its comparison between sessions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mammogan.reader.config import Unsure
from mammogan.reader.key import MIXED_SESSIONS
from mammogan.reader.statistics.answers import Answer, Label, Shown, decided, of_session, readers_of, sessions_of
from mammogan.reader.statistics.paper_p import CAUTION, GROUPS, paper_p
from mammogan.reader.statistics.power import smallest_visible_change
from mammogan.reader.statistics.proportions import Share, accuracy, compare, holm
from mammogan.reader.statistics.published import CELLS, SUMMARY
from mammogan.reader.statistics.table import Table, Value, with_interval
from mammogan.statistics.clustered import design_effect, wilson

GROUPS_OF_IMAGES: tuple[tuple[Shown, Label | None, str], ...] = (
    ("real", None, "all"),
    ("real", "positive", "positive"),
    ("real", "negative", "negative"),
    ("fake", None, "all"),
    ("fake", "positive", "positive-looking (inserted)"),
    ("fake", "negative", "negative-looking (removed)"),
)
"""The rows of Table 3: what was shown, how it looks, and its name."""
BEFORE, AFTER = MIXED_SESSIONS
"""The sessions before and after the triplets of session 4."""
UNSURE_MEANS = {
    "wrong": "Unsure counts as not recognised.",
    "half": "Unsure counts one half.",
    "left out": "Unsure answers are left out of numerator and denominator.",
}
UNSURE_BETWEEN_SESSIONS = {
    **UNSURE_MEANS,
    "half": "Unsure counts as not recognised here, unlike in Table 3: Fisher's test counts answers, no halves.",
}


def table3(answers: Sequence[Answer], unsure: Unsure = "wrong") -> Table:
    """Return the accuracy of each reader in each session, on originals and fakes, all and by class."""
    rows = [
        _accuracy_row(reader, session, shown, name, _looking(own, looks), unsure)
        for reader in readers_of(answers)
        for shown, looks, name in GROUPS_OF_IMAGES
        for session in sessions_of(answers)
        if (own := of_session(answers, reader, session, shown))
    ]
    notes = (
        f"{UNSURE_MEANS[unsure]} Intervals: 95%, Wilson. In table3.csv also with the images of a patient counted as "
        "alike as they are (Wilson on n over the design effect), and the share of unsure.",
        SUMMARY,
    )
    caption = f"Table 3. Images recognised for what they are{_whose(answers)}"
    return Table("table3", caption, rows, notes, _wide(rows))


def _wide(rows: Sequence[dict[str, Value]]) -> list[dict[str, Value]]:
    """Return Table 3 as the paper prints it: sessions side by side, share and interval, counts in brackets."""
    wide: dict[tuple[Value, ...], dict[str, Value]] = {}
    heads = {f"session {session}": "" for session in sorted({int(row["session"] or 0) for row in rows})}
    for row in rows:
        names = {name: row[name] for name in ("reader", "shown", "images")}
        cell = f"{with_interval(row['accuracy'], row['low'], row['high'])}, {row['correct']:g} of {row['n']}"
        wide.setdefault(tuple(names.values()), {**names, **heads})[f"session {row['session']}"] = cell
    return list(wide.values())


def _accuracy_row(
    reader: str, session: int, shown: Shown, name: str, answers: list[Answer], unsure: Unsure
) -> dict[str, Value]:
    share = accuracy(answers, unsure)
    low, high = share.interval or (None, None)
    by_patient = _by_patient(answers, unsure)
    doubts = sum(answer.answer == "unsure" for answer in answers)
    return {
        "reader": reader,
        "shown": shown,
        "images": name,
        "session": session,
        "correct": share.hits,
        "n": share.n,
        "accuracy": share.value,
        "low": low,
        "high": high,
        "low by patient": by_patient[0],
        "high by patient": by_patient[1],
        "unsure": doubts / len(answers) if answers else None,
    }


def _by_patient(answers: Sequence[Answer], unsure: Unsure) -> tuple[float | None, float | None]:
    """Return the interval of ``accuracy`` that counts a patient's images as alike; None twice for one patient."""
    counted = decided(answers) if unsure == "left out" else answers
    patients = [answer.patient for answer in counted]
    if len(set(patients)) < 2:
        return None, None
    right = np.array([0.5 if unsure == "half" and a.answer == "unsure" else float(a.correct) for a in counted])
    return wilson(float(right.mean()), len(right) / design_effect(right, patients))


def _looking(answers: Sequence[Answer], looks: Label | None) -> list[Answer]:
    return [answer for answer in answers if looks in (None, answer.looks)]


def between_sessions(
    answers: Sequence[Answer],
    before: int = BEFORE,
    after: int = AFTER,
    groups: int = GROUPS,
    unsure: Unsure = "wrong",
) -> Table:
    """Return whether each reader's accuracy changed between two sessions, with the paper's p beside a correct test.

    With ``unsure`` "half", unsure counts as not recognised: Fisher's test counts answers, and knows no halves.
    """
    rows = list(_comparisons(decided(answers) if unsure == "left out" else answers, before, after, groups))
    whole = [row for row in rows if row["images"] == "all" and row["p (Fisher)"] is not None]
    adjusted = holm([float(row["p (Fisher)"] or 0) for row in whole])
    for row, p in zip(whole, adjusted, strict=True):
        row["p (Holm)"] = p
    notes = (
        f"Change: session {after} minus session {before}, other images, with Newcombe's 95% interval; p: Fisher's "
        "exact test, two-sided. Holm: adjusted over readers and over originals and fakes.",
        f"p (paper): with {groups} sub-groups a session. {CAUTION}",
        "Smallest visible: the rise from 50% that Fisher's test with so many images sees in 80% of studies. A change "
        "below it cannot be expected to show.",
        UNSURE_BETWEEN_SESSIONS[unsure],
        *_published(),
    )
    caption = f"Change of accuracy from session {before} to session {after}{_whose(answers)}"
    return Table("between_sessions", caption, rows, notes, [_joined(row) for row in rows])


def _joined(row: dict[str, Value]) -> dict[str, Value]:
    """Return a row with change and interval in one cell."""
    change = with_interval(row["change"], row["low"], row["high"])
    return {name: change if name == "change" else value for name, value in row.items() if name not in ("low", "high")}


def _comparisons(answers: Sequence[Answer], before: int, after: int, groups: int) -> Iterator[dict[str, Value]]:
    for reader in readers_of(answers):
        for shown, looks, name in GROUPS_OF_IMAGES:
            sessions = [s for s in sessions_of(answers) if of_session(answers, reader, s, shown)]
            if not {before, after} <= set(sessions):
                continue
            every = {s: _looking(of_session(answers, reader, s, shown), looks) for s in sessions}
            shares = {s: accuracy(own) for s, own in every.items()}
            found = compare(shares[before], shares[after])
            right = [[answer.correct for answer in every[s]] for s in sessions]
            yield {
                "reader": reader,
                "shown": shown,
                "images": name,
                f"session {before}": _fraction(shares[before]),
                f"session {after}": _fraction(shares[after]),
                "change": found.difference if found else None,
                "low": found.low if found else None,
                "high": found.high if found else None,
                "p (Fisher)": found.p if found else None,
                "p (Holm)": None,
                "p (paper)": paper_p(right, sessions.index(before), sessions.index(after), groups),
                "smallest visible": smallest_visible_change(shares[before].n, shares[after].n),
            }


def _fraction(share: Share) -> str:
    return f"{share.hits:g} of {share.n}"


def _published() -> Iterator[str]:
    cells = ", ".join(f"{c.reader} {c.shown} {c.images} {c.session3:g} to {c.session5:g} (p {c.p})" for c in CELLS)
    yield f"The paper's cells, with its p: {cells}."


def _whose(answers: Sequence[Answer]) -> str:
    return " (simulated readers)" if any(answer.simulated for answer in answers) else ""
