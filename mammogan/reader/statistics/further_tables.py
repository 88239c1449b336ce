"""Tables beyond the paper: detection, readers as a sample, agreement, time, trends within a session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mammogan.errors import UserError
from mammogan.reader.statistics.accuracy_tables import AFTER, BEFORE
from mammogan.reader.statistics.agreement import agreement
from mammogan.reader.statistics.answers import SAID, Answer, Shown, has_both, of_session, readers_of, sessions_of
from mammogan.reader.statistics.detection import auc_of, detection_of
from mammogan.reader.statistics.mrmc import (
    LEAST_READERS,
    Covariance,
    Metric,
    ReadersAsSample,
    SingleTest,
    auc_metric,
    delong,
    jackknife,
    other_cases,
)
from mammogan.reader.statistics.proportions import Share
from mammogan.reader.statistics.reading_time import accuracy_by_time, reading_time, time_ratio, trend
from mammogan.reader.statistics.table import Table, Value, with_interval

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
SCORES = {said: score for score, said in enumerate(SAID)}


def detection_table(answers: Sequence[Answer]) -> Table:
    """Return d', criterion and AUC of each reader in each session with originals and fakes."""
    rows: list[dict[str, Value]] = []
    for reader, session, own in _mixed(answers):
        strict, lenient = detection_of(own), detection_of(own, unsure_is_fake=True)
        if strict and lenient:
            rows.append(
                {
                    "reader": reader,
                    "session": session,
                    "d'": strict.d_prime,
                    "low": strict.low,
                    "high": strict.high,
                    "criterion": strict.criterion,
                    "d' (unsure as fake)": lenient.d_prime,
                    "criterion (unsure as fake)": lenient.criterion,
                    "AUC": auc_of(own),
                }
            )
    notes = (
        "d': how well fakes are told from originals; 0 is guessing, 1 is 69% right in an even mixture. Criterion: "
        "positive where a reader rarely says not real. Log-linear rule; interval: 95%, Gourevitch and Galanter.",
        "AUC: of real, unsure, not real in this order. Three steps understate it.",
    )
    people = [
        {
            name: with_interval(value, row["low"], row["high"]) if name == "d'" else value
            for name, value in row.items()
            if name not in ("low", "high")
        }
        for row in rows
    ]
    return Table("detection", "Can the readers tell fakes from originals?", rows, notes, people)


def _mixed(answers: Sequence[Answer]) -> Iterator[tuple[str, int, list[Answer]]]:
    """Yield the answers of each reader in each session that has both originals and fakes."""
    for reader in readers_of(answers):
        for session in sessions_of(answers):
            own = of_session(answers, reader, session)
            if has_both(own):
                yield reader, session, own


def _accuracy_metric(shown: Shown) -> Metric:
    """Return the accuracy on originals or on fakes as a figure of scores 0 real, 1 unsure, 2 not real."""
    is_fake, right = (False, 0) if shown == "real" else (True, 2)

    def metric(scores: Floats, truth: Bools) -> float:
        return float((scores[truth == is_fake] == right).mean())

    return metric


METRICS: dict[str, tuple[Metric, Covariance]] = {
    "AUC": (auc_metric, jackknife),
    "AUC, DeLong": (auc_metric, delong),
    "accuracy on originals": (_accuracy_metric("real"), jackknife),
    "accuracy on fakes": (_accuracy_metric("fake"), jackknife),
}
"""Figures of readers as a sample, and where their covariances come from."""
NO_ERROR = (
    "Without an interval or p: these readers are (or change) exactly alike, and no image sways them together. Nothing "
    "then shows how far other readers would differ."
)


def readers_as_sample(answers: Sequence[Answer], before: int = BEFORE, after: int = AFTER) -> Table:
    """Return whether the sessions differ in the population of readers and cases (Obuchowski-Rockette, Hillis)."""
    readers = [
        reader
        for reader in readers_of(answers)
        if all(has_both(of_session(answers, reader, session)) for session in (before, after))
    ]
    caption = "What holds for readers like these, and images like these?"
    if len(readers) < LEAST_READERS:
        note = f"{len(readers)} readers have answered in both sessions; {LEAST_READERS} are needed to speak of others."
        return Table("readers_as_sample", caption, [], (note,))
    matrices = [_matrix(answers, readers, session) for session in (before, after)]
    scores, truths = [scores for scores, _ in matrices], [truth for _, truth in matrices]
    try:
        found = {name: other_cases(scores, truths, *method) for name, method in METRICS.items()}
    except UserError as too_few:
        return Table("readers_as_sample", caption, [], (f"Nothing can be said yet: {too_few}.",))
    notes = (
        "Obuchowski and Rockette with Hillis's degrees of freedom; jackknife (or DeLong) within a session; cases "
        "nested in sessions (Cov1 = Cov3 = 0). Only images that all these readers answered.",
        *[NO_ERROR] * any(None in (own.f, *(single.low for single in own.singles)) for own in found.values()),
    )
    return Table(
        "readers_as_sample", caption, [_sample_row(name, own, before, after) for name, own in found.items()], notes
    )


def sample_of(answers: Sequence[Answer], session: int) -> SingleTest:
    """Return the mean AUC in one session with its interval for readers and images like these.

    UserError with fewer than three readers, or fewer than two originals and two fakes that all of them answered.
    """
    readers = [reader for reader in readers_of(answers) if has_both(of_session(answers, reader, session))]
    scores, truth = _matrix(answers, readers, session)
    return other_cases([scores, scores], [truth, truth]).singles[0]


def _sample_row(name: str, found: ReadersAsSample, before: int, after: int) -> dict[str, Value]:
    first, second = found.singles
    degrees = "infinite" if found.degrees is not None and np.isinf(found.degrees) else found.degrees
    return {
        "figure": name,
        f"session {before}": _single_cell(first),
        f"session {after}": _single_cell(second),
        "change": -found.difference,
        "low": None if found.high is None else -found.high,
        "high": None if found.low is None else -found.low,
        "F": found.f,
        "degrees of freedom": degrees,
        "p": found.p,
    }


def _single_cell(single: SingleTest) -> str:
    low, high = single.within_range
    return with_interval(single.mean, low, high)


def _matrix(answers: Sequence[Answer], readers: Sequence[str], session: int) -> tuple[Floats, Bools]:
    """Return the scores (readers, cases) of a session and which cases are fakes, for cases that all have answered."""
    given = {
        (answer.reader, answer.key, answer.shown): SCORES[answer.answer]
        for answer in answers
        if answer.session == session
    }
    cases = sorted({(key, shown) for _, key, shown in given})
    common = [case for case in cases if all((reader, *case) in given for reader in readers)]
    scores = np.array([[given[reader, *case] for case in common] for reader in readers], dtype=float)
    return scores, np.array([shown == "fake" for _, shown in common])


def agreement_table(answers: Sequence[Answer]) -> Table:
    """Return Fleiss's kappa of each session: of all images, of originals and of fakes."""
    rows: list[dict[str, Value]] = [
        {
            "session": session,
            "kappa": agreement(own),
            "kappa on originals": agreement([a for a in own if a.shown == "real"]),
            "kappa on fakes": agreement([a for a in own if a.shown == "fake"]),
        }
        for session in sessions_of(answers)
        if (own := [answer for answer in answers if answer.session == session])
    ]
    note = "Fleiss's kappa of the three answers: 0 is agreement by chance, 1 is complete."
    return Table("agreement", "Do the readers agree?", rows, (note,))


def time_table(answers: Sequence[Answer], before: int = BEFORE, after: int = AFTER) -> Table:
    """Return the seconds an image of each reader and session, and accuracy by time and along the session."""
    rows: list[dict[str, Value]] = []
    for reader in readers_of(answers):
        ratio = time_ratio(of_session(answers, reader, before), of_session(answers, reader, after))
        for session in sessions_of(answers):
            own = of_session(answers, reader, session)
            if time := reading_time(own):
                found = trend(own)
                rows.append(
                    {
                        "reader": reader,
                        "session": session,
                        "seconds (median)": time.median,
                        "quartiles": f"{time.lower:.1f} to {time.upper:.1f}",
                        "accuracy: fastest, middle, slowest third": ", ".join(map(_percent, accuracy_by_time(own))),
                        "change of accuracy in the session": found.change if found else None,
                        "p of it": found.p if found else None,
                        f"time against session {before}": f"{ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
                        if session == after and ratio
                        else "",
                    }
                )
    return Table("time", "How long do they look, and do they change within a session?", rows)


def _percent(share: Share) -> str:
    return "n/a" if share.value is None else f"{100 * share.value:.0f}%"
