"""Tell exams apart where a StudyInstanceUID does not: some anonymisers give one to all exams, or to all patients.

By the standard, all files of a study have one StudyDate. So a UID in files of several dates stands for no exam, and the
dates do; where all women have one date, accession numbers do. They are compared only; no table or report has them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta

from mammogan.data.archives.base import Header
from mammogan.data.archives.candidates import Image
from mammogan.data.archives.constant_days import exams_by_number, known_day, without_constant_days
from mammogan.data.archives.labels import UNKNOWN_EXAM
from mammogan.data.archives.numbered_files import marks_without_uids, without_numbers_of_files
from mammogan.data.archives.repeats import REPEATED
from mammogan.data.cohort.identifiers import MOST_PATIENTS
from mammogan.data.cohort.pseudonyms import UID
from mammogan.data.cohort.shared_studies import shared_studies

LONGEST_EXAM = timedelta(days=31)
"""Retakes of one exam may be taken on later days; two exams under one StudyDate, which an anonymiser wrote, are farther
apart."""


def tell_exams_apart(images: Sequence[Image]) -> list[Image]:
    """Return the images, each with an exam that is one: not of a UID of several patients, of several dates, or of each
    file's own."""
    named = without_numbers_of_files(_without_constant_studies(images))
    marks = marks_without_uids(named)
    return _by_date([_without_uid(image, mark) if mark else image for image, mark in zip(named, marks, strict=True)])


def divided_studies(images: Sequence[Image], by_number: bool) -> tuple[int, int, int]:
    """Count the studies that are not one exam, as days say, or numbers; their used images, and those of them whose exam
    is not known."""
    used = [i for i in images if i.divided_study and i.divided_by_number == by_number and not i.reason]
    return len({(i.patient, i.divided_study) for i in used}), len(used), sum(i.study == UNKNOWN_EXAM for i in used)


def one_name(images: Sequence[Image]) -> tuple[int, int]:
    """Count the images that are repeats by a name of an exam that most women have in the tables, and their women.

    Both are 0 if the women are few, or if fewer than a tenth of them have such images: exams may be numbered from 1 for
    each woman, and some views are taken twice.
    """
    named = [image for image in images if image.patient and _name_of(image) and image.reason in ("", REPEATED)]
    women: defaultdict[str, set[str]] = defaultdict(set)
    for image in named:
        women[_name_of(image)].add(image.patient)
    name = max(women, key=lambda name: len(women[name]), default="")
    repeats = [image.patient for image in named if image.reason and _name_of(image) == name]
    number = len({image.patient for image in named})
    is_said = len(women[name]) > MOST_PATIENTS and 2 * len(women[name]) > number
    return (len(repeats), len({*repeats})) if is_said and 10 * len({*repeats}) >= len(women[name]) else (0, 0)


def _name_of(image: Image) -> str:
    """Return the name that the archive's tables have for the exam; empty if it is a UID, or if they have none."""
    of_table = image.study_of_table
    return "" if UID.fullmatch(of_table) else of_table


def _without_constant_studies(images: Sequence[Image]) -> list[Image]:
    """Take each StudyInstanceUID that stands in files of several patients for no exam; the file's folder then is the
    exam. Take it away, from the tables too, if the patients are many: of two or three it may say that they are one
    woman, and one folder may hold exams of several such UIDs."""
    shared = shared_studies(
        (i.patient, study) for i in images if i.patient for study in (i.study_of_table, i.header.study)
    )
    named = [_without_study_of_table(image) if image.study_of_table in shared else image for image in images]
    patients: defaultdict[str, set[str]] = defaultdict(set)
    for image in named:
        if image.header.study and image.patient:
            patients[image.header.study].add(image.patient)
    return [_without_study(image, len(patients.get(image.header.study, ()))) for image in named]


def _without_study_of_table(image: Image) -> Image:
    entry = replace(image.entry, study="") if image.entry else None
    return replace(image, entry=entry, study=image.header.study or image.path.parent.as_posix())


def _without_study(image: Image, patients: int) -> Image:
    if patients < 2:
        return image
    folder, uid = image.path.parent.as_posix(), image.header.study
    if patients > MOST_PATIENTS:
        image, uid = replace(image, header=replace(image.header, study="")), ""
    return image if image.study_of_table else replace(image, study=f"{folder} {uid}".rstrip())


def _by_date(images: Sequence[Image]) -> list[Image]:
    """Give each date its own exam where the files of a woman's study have several; without a date, the exam is not
    known."""
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for position, image in enumerate(images):
        if image.patient and (study := _study_of(image)):
            groups[image.patient, study].append(position)
    dated = without_constant_days(images, groups)
    chosen = list(dated)
    for (_, study), positions in groups.items():
        told, by_number = _told_apart([dated[position] for position in positions])
        for position, mark in zip(positions, told, strict=False):
            chosen[position] = replace(_of_exam(dated[position], study, mark), divided_by_number=by_number)
    return chosen


def _study_of(image: Image) -> str:
    """Return the UID, or the folder, that stands for the exam; empty if the archive's tables have a name for it."""
    return "" if _name_of(image) else image.study_of_table or image.header.study or image.study


def _told_apart(images: Sequence[Image]) -> tuple[list[str], bool]:
    """Return for each image of a study what its exam has and the others have not ("": not known), and whether that is a
    number; an empty list if the study is one exam, as far as anyone can say."""
    days = _days_apart([image.header for image in images])
    has_day = any(known_day(day) for image in images for day in (image.header.study_date, image.header.acquired))
    numbers = [] if days or has_day else exams_by_number(images)
    return days or numbers, bool(numbers)


def _days_apart(headers: Sequence[Header]) -> list[str]:
    """Return for each header the day of its exam ("": not known); an empty list if no days tell exams apart."""
    taken = [known_day(header.acquired) for header in headers]
    study_days = [known_day(header.study_date) for header in headers]
    known = set(study_days) - {""}
    if len(known) > 1:
        return [day or (other if other in known else "") for day, other in zip(study_days, taken, strict=True)]
    if any(taken):
        return _far_apart(taken, LONGEST_EXAM if known else timedelta(0))
    return _far_apart([known_day(header.series_date) for header in headers], LONGEST_EXAM)


def _far_apart(days: Sequence[str], gap: timedelta) -> list[str]:
    """Return for each day the first day of its exam; an empty list if all are of one exam."""
    begins = dict(_exams(set(days) - {""}, gap))
    return [begins.get(day, "") for day in days] if len(set(begins.values())) > 1 else []


def _exams(days: set[str], gap: timedelta) -> Iterator[tuple[str, str]]:
    """Yield each day with the first day of its exam; a longer gap than ``gap`` begins another exam."""
    first, last = "", date.min
    for day in sorted(days):
        now = date(int(day[:4]), int(day[4:6]), int(day[6:]))
        if not first or now - last > gap:
            first = day
        last = now
        yield day, first


def _without_uid(image: Image, mark: str) -> Image:
    """Return the image with the exam that has ``mark``, its date and number, instead of its UID."""
    return replace(_of_exam(image, "", mark), uid_of_file=True)


def _of_exam(image: Image, study: str, mark: str) -> Image:
    """Return the image with the exam that has ``mark``. Its name does not contain the mark, which may be a date.

    It is a UID where the study's UID is believed, so that two patients with one UID are still noticed.
    """
    name, exam = "", UNKNOWN_EXAM
    if mark:
        number = int.from_bytes(hashlib.sha256(mark.encode()).digest()[:6])
        name = exam = f"{study}.{number}" if UID.fullmatch(study) else f"exam-{number}"
    entry = replace(image.entry, study=name) if image.entry else None
    return replace(image, entry=entry, header=replace(image.header, study=name), study=exam, divided_study=study)
