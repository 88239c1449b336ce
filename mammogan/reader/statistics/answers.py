"""The long table of a reader study: one row for each answer, with the truth beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, cast

from mammogan.errors import UserError
from mammogan.io.atomic import write_text

Said = Literal["real", "unsure", "not real"]
Shown = Literal["real", "fake"]
Label = Literal["positive", "negative"]
SAID: tuple[Said, ...] = ("real", "unsure", "not real")
"""The answers, from the most to the least trusting."""


@dataclass(frozen=True)
class Answer:
    """One answer of one reader, and what was shown."""

    reader: str
    session: int
    position: int
    """Place in the reader's own order, from 0."""
    key: str
    """The mammogram's key in the workspace."""
    patient: str
    """The patient's pseudonym."""
    shown: Shown
    """real: an original; fake: an adversarial mammogram."""
    label: Label
    """Class of the original."""
    answer: Said
    milliseconds: int
    """From the first painted frame to the confirmed answer, without breaks, by the reader's browser."""
    wall_milliseconds: int
    """The same with breaks, by the server's clock."""
    simulated: bool
    """Whether a program answered, and no person."""

    @property
    def looks(self) -> Label:
        """The class that the picture should look like: the label, flipped where it is adversarial."""
        if self.shown == "real":
            return self.label
        return "negative" if self.label == "positive" else "positive"

    @property
    def correct(self) -> bool:
        """Whether the reader recognised what it is; unsure is not correct."""
        return self.answer == ("real" if self.shown == "real" else "not real")


COLUMNS = tuple(field.name for field in fields(Answer))


def check_readers(answers: Sequence[Answer]) -> None:
    """Raise UserError if people and simulated readers are in one table."""
    kinds = {kind: sorted({a.reader for a in answers if a.simulated is kind}) for kind in (True, False)}
    if all(kinds.values()):
        raise UserError(
            "simulated readers and people are never put into one table; "
            f"simulated: {', '.join(kinds[True])}; people: {', '.join(kinds[False])}. Make one table of each"
        )


def in_reading_order(answers: Iterable[Answer]) -> list[Answer]:
    """Sort answers as they were given."""
    return sorted(answers, key=lambda answer: (answer.reader, answer.session, answer.position))


def of_session(answers: Iterable[Answer], reader: str, session: int, shown: Shown | None = None) -> list[Answer]:
    """Return one reader's answers in one session, in reading order; with ``shown`` only those on such images."""
    own = (a for a in answers if (a.reader, a.session) == (reader, session) and shown in (None, a.shown))
    return in_reading_order(own)


def decided(answers: Iterable[Answer]) -> list[Answer]:
    """Return the answers that are real or not real, without those that are unsure."""
    return [answer for answer in answers if answer.answer != "unsure"]


def has_both(answers: Iterable[Answer]) -> bool:
    """Whether both originals and fakes were shown."""
    return {answer.shown for answer in answers} == {"real", "fake"}


def mixed_sessions(answers: Sequence[Answer]) -> list[int]:
    """Return the numbers of the sessions with originals and fakes, sorted."""
    return [number for number in sessions_of(answers) if has_both(a for a in answers if a.session == number)]


def readers_of(answers: Iterable[Answer]) -> list[str]:
    """Return the readers' names, sorted."""
    return sorted({answer.reader for answer in answers})


def sessions_of(answers: Iterable[Answer]) -> list[int]:
    """Return the numbers of the sessions with answers, sorted."""
    return sorted({answer.session for answer in answers})


def write_imrmc(answers: Sequence[Answer], path: Path) -> None:
    """Write the answers for iMRMC: readerID,caseID,modalityID,score; score 0 real, 1 unsure, 2 not real.

    The sessions are iMRMC's modalities, and a fake is its diseased case. Fakes and originals of one mammogram are
    different cases.
    """
    truth = {_case(answer): int(answer.shown == "fake") for answer in answers}
    lines = ["MammoGAN reader study, truth 1: adversarial", "BEGIN DATA:"]
    lines += [f"truth,{case},truth,{is_fake}" for case, is_fake in sorted(truth.items())]
    scores = {said: score for score, said in enumerate(SAID)}
    lines += [f"{a.reader},{_case(a)},session {a.session},{scores[a.answer]}" for a in in_reading_order(answers)]
    write_text(path, "\n".join(lines) + "\n")


def _case(answer: Answer) -> str:
    return f"{answer.key}-{cast(str, answer.shown)}"
