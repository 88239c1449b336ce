"""Find identifiers of exams that only number files: a StudyInstanceUID, or an accession number, of each file's own.

Some anonymisers keep no map and give every file a new StudyInstanceUID. Some archives count files by AccessionNumber.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from mammogan.data.archives.candidates import Image
from mammogan.data.archives.constant_days import known_day
from mammogan.data.cohort.identifiers import MOST_PATIENTS
from mammogan.data.cohort.pseudonyms import UID

FEW = 10
"""Fewer than one in so many numbers stand on several files of a woman with several views: they number files. And what
is of more than one in so many women may be of an anonymiser."""
NUMBERS = ("accession", "study_number")
"""The numbers of a header, of which each may number files."""


def without_numbers_of_files(images: Sequence[Image]) -> list[Image]:
    """Return the images without their AccessionNumbers, or StudyIDs, if these number files."""
    of_files = [kind for kind in NUMBERS if _number_files(images, kind)]
    chosen = list(images)
    for kind in of_files:
        gone = {kind: ""}
        chosen = [replace(image, header=replace(image.header, **gone)) for image in chosen]  # type: ignore[arg-type]
    return chosen


def marks_without_uids(images: Sequence[Image]) -> list[str]:
    """Return date and number of the exam of each file whose StudyInstanceUID only numbers it; an empty text if the UID
    is believed, as all are if few women have several views with one date and number, each under another UID.

    A date and number of many women tells no exam, since an anonymiser may have written both.
    """
    women: defaultdict[str, set[str]] = defaultdict(set)
    groups: defaultdict[tuple[str, str], list[Image]] = defaultdict(list)
    for image in images:
        if image.patient and (mark := _mark(image)):
            women[mark].add(image.patient)
            groups[image.patient, mark].append(image)
    most = max(MOST_PATIENTS, len({patient for patient, _ in groups}) // FEW)
    uses = Counter(map(uid_of, images))
    divided = {
        (patient, mark)
        for (patient, mark), group in groups.items()
        if len(women[mark]) <= most and len(group) > 1 and all(uid_of(i) and uses[uid_of(i)] == 1 for i in group)
    }
    are_said = {patient for patient, mark in divided if _has_several_views(groups[patient, mark])}
    if len(are_said) <= MOST_PATIENTS:
        return [""] * len(images)
    return [mark if (image.patient, mark := _mark(image)) in divided else "" for image in images]


def uid_of(image: Image) -> str:
    """Return the StudyInstanceUID of a file by the tables, else by its header; empty if the tables name the exam."""
    of_table = image.study_of_table
    return of_table if UID.fullmatch(of_table) else "" if of_table else image.header.study


def numbered_uids(images: Sequence[Image]) -> int:
    """Count the used files whose StudyInstanceUID only numbers them."""
    return sum(image.uid_of_file and not image.reason for image in images)


def _mark(image: Image) -> str:
    """Return day and number of the exam of a file; empty if it has neither."""
    header = image.header
    day = known_day(header.study_date) or known_day(header.acquired)
    return f"{day} {header.accession or header.study_number}".strip()


def _number_files(images: Sequence[Image], kind: str) -> bool:
    """Return whether almost each number of one kind stands on one file only, although most women have several views."""
    women: defaultdict[str, list[Image]] = defaultdict(list)
    for image in images:
        if image.patient and not image.reason and getattr(image.header, kind):
            women[image.patient].append(image)
    several = [group for group in women.values() if _has_several_views(group)]
    files = Counter((image.patient, getattr(image.header, kind)) for group in several for image in group)
    on_several = sum(number > 1 for number in files.values())
    return len(several) > MOST_PATIENTS and 2 * len(several) > len(women) and FEW * on_several < len(files)


def _has_several_views(images: Sequence[Image]) -> bool:
    return len({(image.laterality, image.view) for image in images if not image.reason}) > 1
