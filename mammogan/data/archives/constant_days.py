"""Find a date that an anonymiser gave to all women, so that it tells no exams apart.

Women may well be examined on one true day. So a date is only taken for such a one if accession numbers (or StudyIDs)
say of several women that they have two exams of that day.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from mammogan.data.archives.base import Header
from mammogan.data.archives.candidates import Image
from mammogan.data.archives.days import FIRST_YEAR, LAST_YEAR
from mammogan.data.cohort.identifiers import MOST_PATIENTS

DAYS = ("study_date", "acquired", "series_date")
"""The days of a header, of which each may be one that an anonymiser wrote."""


def without_constant_days(images: Sequence[Image], studies: Mapping[tuple[str, str], Sequence[int]]) -> list[Image]:
    """Return the images without each day that says nothing; ``constant_date`` marks those that lose their StudyDate.

    ``studies``: by patient and study, where in ``images`` its files are. A study with another day too keeps both.
    """
    chosen = list(images)
    for kind in DAYS:
        groups = [(who, [chosen[position] for position in positions]) for (who, _), positions in studies.items()]
        constant = _constant_days(groups, kind)
        for positions, (_, group) in zip(studies.values(), groups, strict=True):
            if len(days := _days(group, kind)) == 1 and days <= constant:
                for position in positions:
                    chosen[position] = _without(chosen[position], kind)
    return chosen


def women_of_one_date(images: Sequence[Image]) -> tuple[int, int]:
    """Count the women with a used image whose StudyDate says nothing, and all women with a used image."""
    used = [image for image in images if not image.reason]
    return len({image.patient for image in used if image.constant_date}), len({image.patient for image in used})


def exam_numbers(headers: Sequence[Header]) -> list[str]:
    """Return the AccessionNumber of each file of a study, else its StudyID; an empty list if neither differs."""
    for numbers in ([header.accession for header in headers], [header.study_number for header in headers]):
        if len(set(numbers) - {""}) > 1:
            return numbers
    return []


def known_day(text: str) -> str:
    """Return a day as YYYYMMDD; empty if it is none, or stands for one that is not known, such as 19000101."""
    digits = text.replace(".", "").replace("-", "")
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return ""
    return f"{day:%Y%m%d}" if len(digits) == 8 and FIRST_YEAR <= day.year <= LAST_YEAR else ""


def _days(images: Iterable[Image], kind: str) -> set[str]:
    return {known_day(getattr(image.header, kind)) for image in images} - {""}


def _constant_days(groups: Iterable[tuple[str, Sequence[Image]]], kind: str) -> set[str]:
    """Return the days that most women have, of whom more than a few have several exams under it."""
    women: defaultdict[str, set[str]] = defaultdict(set)
    examined_again: defaultdict[str, set[str]] = defaultdict(set)
    for patient, images in groups:
        days = _days(images, kind)
        for day in days:
            women[day].add(patient)
        if len(days) == 1 and _has_exams_by_number(images):
            examined_again[days.pop()].add(patient)
    number = len(set().union(*women.values()))
    return {day for day, who in examined_again.items() if len(who) > MOST_PATIENTS and 2 * len(women[day]) > number}


def _has_exams_by_number(images: Sequence[Image]) -> bool:
    """Return whether one view of a breast was taken under several numbers, each of which names an exam.

    Two orders of one exam have different views. And numbers of which each stands on one view only, although there are
    several views, may be numbers of files.
    """
    used = [image for image in images if not image.reason]
    numbers = exam_numbers([image.header for image in used])
    pairs = {(image.laterality, image.view, number) for image, number in zip(used, numbers, strict=False) if number}
    views = Counter(pair[:2] for pair in pairs)
    return max(views.values(), default=0) > 1 and (len(views) == 1 or max(Counter(n for *_, n in pairs).values()) > 1)


def _without(image: Image, kind: str) -> Image:
    header = replace(image.header, **{kind: ""})  # type: ignore[arg-type]
    return replace(image, header=header, constant_date=image.constant_date or kind == "study_date")
