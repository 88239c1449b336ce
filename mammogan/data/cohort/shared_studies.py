"""Find a StudyInstanceUID that stands with many patients: an anonymiser gave it to all, so it names no exam."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from mammogan.data.cohort.identifiers import MOST_PATIENTS
from mammogan.data.cohort.pseudonyms import UID


def shared_studies(exams: Iterable[tuple[str, str]]) -> set[str]:
    """Return the UIDs that name no exam. ``exams``: patient and study of each image.

    Of two or three patients with one UID it may say that they are one woman. Other names of an exam are a patient's
    own.
    """
    patients: defaultdict[str, set[str]] = defaultdict(set)
    for patient, study in exams:
        if UID.fullmatch(study):
            patients[study].add(patient)
    return {study for study, who in patients.items() if len(who) > MOST_PATIENTS}


def shared_study_warnings(exams: Iterable[tuple[str, str]]) -> list[str]:
    """Return at most one warning: how many rows have a UID in their column study that names no exam."""
    known = list(exams)
    shared = shared_studies(known)
    if not shared:
        return []
    rows = sum(study in shared for _, study in known)
    return [
        f"{rows} rows have a StudyInstanceUID in their column study that more than {MOST_PATIENTS} patients share, as "
        "some anonymisers leave it: it names no exam and was not used. mammogan scan --dataset csv --tables with this "
        "table tells exams apart by the dates of the files"
    ]
