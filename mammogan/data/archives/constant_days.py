"""Find a date that an anonymiser gave to all women, or to each batch of them, so that it tells no exams apart.

Women may well be examined on one true day. So a date is only taken for such a one if accession numbers (or StudyIDs)
say of several women that they have two exams of that day.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import combinations

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
        contradicted = _contradicted(groups, kind)
        for positions, (who, group) in zip(studies.values(), groups, strict=True):
            if len(days := _days(group, kind)) == 1 and (days <= constant or (who, min(days)) in contradicted):
                for position in positions:
                    chosen[position] = _without(chosen[position], kind)
    return chosen


def women_of_one_date(images: Sequence[Image]) -> tuple[int, int, int]:
    """Count the StudyDates of used images that say nothing, the women who have them, and all women with used images."""
    used = [image for image in images if not image.reason]
    without = [image for image in used if image.constant_date]
    dates = {image.constant_date for image in without}
    return len(dates), len({image.patient for image in without}), len({image.patient for image in used})


def exams_by_number(images: Sequence[Image]) -> list[str]:
    """Return the number of the exam of each file of a study; an empty list if its numbers name no exams."""
    return _exam_numbers([image.header for image in images]) if _has_exams_by_number(images) else []


def _exam_numbers(headers: Sequence[Header]) -> list[str]:
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
    """Return the days on each of which more than a few women have several exams, if most women have these days.

    They are several if an anonymiser worked on several days.
    """
    women: defaultdict[str, set[str]] = defaultdict(set)
    examined_again: defaultdict[str, set[str]] = defaultdict(set)
    for patient, images in groups:
        days = _days(images, kind)
        for day in days:
            women[day].add(patient)
        if len(days) == 1 and _has_exams_by_number(images):
            examined_again[days.pop()].add(patient)
    found = {day for day, who in examined_again.items() if len(who) > MOST_PATIENTS}
    number = len(set().union(*women.values()))
    return found if 2 * len(set().union(*(women[day] for day in found))) > number else set()


def _contradicted(groups: Iterable[tuple[str, Sequence[Image]]], kind: str) -> set[tuple[str, str]]:
    """Return women, each with the one day of a study that has whole exams by number; none if these women are few, or
    if most women with a view under several numbers have no such exams."""
    several: set[str] = set()
    whole: set[tuple[str, str]] = set()
    for patient, images in groups:
        days = _days(images, kind)
        views = _views_by_number(images)
        if len(days) == 1 and _most_exams_of_a_view(views) > 1:
            several.add(patient)
            whole |= {(patient, day) for day in days if _has_whole_exams(views)}
    women = {patient for patient, _ in whole}
    return whole if len(women) > MOST_PATIENTS and 2 * len(women) > len(several) else set()


def _has_exams_by_number(images: Sequence[Image]) -> bool:
    """Return whether one view of a breast was taken under several numbers, each of which names an exam.

    Two orders of one exam have different views. And numbers of which each stands on one view only, although there are
    several views, may be numbers of files.
    """
    views = _views_by_number(images)
    kinds = set().union(*views.values())
    return _most_exams_of_a_view(views) > 1 and (len(kinds) == 1 or max(map(len, views.values())) > 1)


def _has_whole_exams(views: Mapping[str, set[tuple[str, str]]]) -> bool:
    """Return whether two numbers have two or more views in common: no retake, nor an order for some views, is alike."""
    return any(len(one & other) > 1 for one, other in combinations(views.values(), 2))


def _most_exams_of_a_view(views: Mapping[str, set[tuple[str, str]]]) -> int:
    """Return under how many numbers the view stands that stands under most of them."""
    return max(Counter(view for of_number in views.values() for view in of_number).values(), default=0)


def _views_by_number(images: Sequence[Image]) -> dict[str, set[tuple[str, str]]]:
    """Return which sides and views of the used images of a study stand under each number."""
    used = [image for image in images if not image.reason]
    views: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for image, number in zip(used, _exam_numbers([image.header for image in used]), strict=False):
        if number:
            views[number].add((image.laterality, image.view))
    return views


def _without(image: Image, kind: str) -> Image:
    header = replace(image.header, **{kind: ""})  # type: ignore[arg-type]
    constant = known_day(image.header.study_date) if kind == "study_date" else image.constant_date
    return replace(image, header=header, constant_date=constant)
