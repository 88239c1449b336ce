"""Says who read what, in the title of a reader study's page, above its figures, and in every caption: phantoms never
pass for patients, nor programs for people."""

from __future__ import annotations

from dataclasses import replace

from mammogan.data.inspect.population import OF_PATIENTS, no_patient
from mammogan.reader.plan import ReadingPlan
from mammogan.reader.statistics.table import Table, Value

QUESTION = "Would a reader notice?"
NO_PERSON = (
    "No person has read these images. All answers come from programs that were told the truth and how often to be "
    "right."
)
ORIGINAL = {"real": "original", "real positive": "original positive", "real negative": "original negative"}
"""Columns about what was shown, and their names where nothing that was shown is real."""


def title_of(plan: ReadingPlan) -> str:
    """Return the title, such as 'Would a reader notice? Phantom mammograms, simulated readers'."""
    phantoms = "mammograms and phantoms" if plan.phantoms.and_patients else "phantom mammograms"
    words = [phantoms] if plan.phantoms.kind else []
    words += ["simulated readers"] if plan.simulated else []
    return f"{QUESTION} {_sentence(', '.join(words))}".strip()


def mammograms_of(plan: ReadingPlan) -> str:
    """Return what the mammograms are: phantoms, patients', or a mix."""
    return plan.phantoms.kind or OF_PATIENTS


def banners(plan: ReadingPlan) -> list[str]:
    """Return what has to be read before any figure."""
    told = []
    if plan.phantoms.only:
        told.append(no_patient(plan.phantoms.kind))
    elif plan.phantoms.kind:
        told.append(f"Counted together: {plan.phantoms.kind}. Phantoms are drawn by a program.")
    return [*told, NO_PERSON] if plan.simulated else told


def captioned(caption: str, plan: ReadingPlan) -> str:
    """Return a caption that says what phantoms were shown, if any were."""
    if not plan.phantoms.kind:
        return caption
    return f"{caption}{'' if caption.endswith('?') else '.'} {_sentence(plan.phantoms.kind)}"


def picture_note(plan: ReadingPlan) -> str:
    """Return what is written into a picture, so that it goes wherever the picture goes."""
    return "; ".join(text for text in (plan.phantoms.kind, "simulated readers" if plan.simulated else "") if text)


def as_shown(table: Table, plan: ReadingPlan) -> Table:
    """Return a table whose caption says what was shown. On phantoms alone people read original for real there."""
    rows = table.for_people or table.rows
    people = [in_words_of_phantoms(row) for row in rows] if plan.phantoms.only else table.for_people
    caption = captioned(table.caption, plan)
    return replace(table, caption=caption, mammograms=mammograms_of(plan), for_people=people)


def in_words_of_phantoms(row: dict[str, Value]) -> dict[str, Value]:
    """Return a row with original in place of real where it is about what was shown, not about what was answered."""
    return {
        ORIGINAL.get(name, name): "original" if (name, value) == ("shown", "real") else value
        for name, value in row.items()
    }


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
