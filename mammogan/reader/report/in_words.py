"""The answer of a reader study in one sentence that anybody understands."""

from __future__ import annotations

from collections.abc import Sequence

from mammogan.errors import UserError
from mammogan.reader.readings import Readings
from mammogan.reader.statistics.answers import Answer, mixed_sessions, readers_of
from mammogan.reader.statistics.detection import auc_of
from mammogan.reader.statistics.further_tables import sample_of
from mammogan.reader.statistics.proportions import Share, accuracy

CHANCE = 0.5


def in_words(readings: Readings) -> str:
    """Say how often readers recognised adversarial mammograms in the last session, and whether that is guessing."""
    answers, what = readings.answers, f"adversarial {'phantoms' if readings.plan.phantoms.only else 'mammograms'}"
    mixed = mixed_sessions(answers)
    if not mixed:
        return f"No reader has answered a session with {what} yet."
    last = [answer for answer in answers if answer.session == mixed[-1]]
    fakes = [answer for answer in last if answer.shown == "fake"]
    reals = [answer for answer in last if answer.shown == "real"]
    alarms = Share(sum(answer.answer == "not real" for answer in reals), len(reals))
    each = [accuracy([a for a in fakes if a.reader == reader]).value or 0 for reader in readers_of(fakes)]
    who = "simulated readers" if last[0].simulated else "readers"
    between = f" (from {_percent(min(each))} to {_percent(max(each))} by reader)" if len(each) > 1 else ""
    return (
        f"Of the {what} in session {mixed[-1]}, the {len(each)} {who} recognised "
        f"{_percent(accuracy(fakes).value or 0)}{between}, and they took {_percent(alarms.value or 0)} of the "
        f"originals for not real. {_chance(answers, mixed[-1], auc_of(last) or CHANCE)}"
    )


def _chance(answers: Sequence[Answer], session: int, area: float) -> str:
    try:
        sample = sample_of(answers, session)
    except UserError:
        return f"Area under the curve {area:.2f}, where 0.5 is guessing; too few readers or images to speak of others."
    low, high = sample.within_range
    if low is None or high is None:
        return (
            f"Area under the curve {sample.mean:.2f}, where 0.5 is guessing; these readers are exactly alike, which "
            "shows nothing of others."
        )
    shown = f"area under the curve {sample.mean:.2f}, {low:.2f} to {high:.2f}"
    if low <= CHANCE <= high:
        return f"Whether readers like these do better than guessing is not settled ({shown}; 0.5 is guessing)."
    better = "better" if sample.mean > CHANCE else "worse"
    return f"Readers like these do {better} than guessing ({shown}; 0.5 is guessing)."


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"
