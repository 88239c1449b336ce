"""Notice one woman under two identifiers of a table, who could be trained on and tested, or several under one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from mammogan.data.archives.base import Catalogue
from mammogan.data.archives.candidates import Image
from mammogan.data.archives.labels import UNKNOWN_EXAM
from mammogan.data.archives.repeats import REPEATED
from mammogan.data.cohort.breasts_apart import APART_HINT, Shown, breasts_surely_apart
from mammogan.data.cohort.identifiers import MOST_PATIENTS, names_nobody, refuse_two_spellings_of, spelling_free
from mammogan.data.cohort.many_women import many_women
from mammogan.data.cohort.spreadsheets import CHANGED_HINT, changed_identifiers
from mammogan.data.cohort.table import SPELLING_HINT
from mammogan.errors import UserError


def refuse_two_spellings(images: Sequence[Image], catalogue: Catalogue) -> None:
    """Raise UserError if identifiers differ only in zeros, case or spaces, such as 0100 and 100, if a spreadsheet has
    changed some, or if each breast has one. Likewise if the tables write one exam of a woman in two ways.

    Except for those of breasts, identifiers of images that are not used count too: a finding in one of them may decide
    the label of another.
    """
    spelled: defaultdict[str, set[str]] = defaultdict(set)
    entries = [*catalogue.entries.values(), *(image.entry for image in images if image.entry)]
    patients = {entry.patient for entry in entries}
    if changed := changed_identifiers(patients):
        what, number = Counter(changed.values()).most_common(1)[0]
        raise UserError(f"{number} identifiers of patients in the tables are each {what}; {CHANGED_HINT}")
    for patient in patients:
        spelled[spelling_free(patient)].add(patient)
    if twice := sum(len(names) > 1 for names in spelled.values()):
        who = "1 patient has" if twice == 1 else f"{twice} patients have"
        raise UserError(f"{who} several spellings in the tables; {SPELLING_HINT}")
    refuse_two_spellings_of("exam of a woman", "the tables", ((entry.patient, entry.study) for entry in entries))
    used = (image for image in images if not image.reason)
    if apart := breasts_surely_apart(Shown(0, image.patient, image.laterality, image.view) for image in used):
        raise UserError(f"{len(apart)} patients have identifiers such as P001L and P001R in the tables; {APART_HINT}")


def shared_header_patients(images: Sequence[Image]) -> int:
    """Count the PatientIDs of headers that stand under two or three patients of the tables: the same women?

    One under more patients, or in most files, says nothing: an anonymiser gave it to all.
    """
    used = [image for image in images if not image.reason and not names_nobody(image.header.patient)]
    patients: defaultdict[str, set[str]] = defaultdict(set)
    for image in used:
        patients[spelling_free(image.header.patient)].add(image.patient)
    files = Counter(spelling_free(image.header.patient) for image in used)
    return sum(1 < len(who) <= MOST_PATIENTS and 2 * files[name] <= len(used) for name, who in patients.items())


def shared_header_studies(images: Sequence[Image]) -> int:
    """Count the StudyInstanceUIDs of headers that stand under two or three patients, where the tables name no exam."""
    patients: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        if not image.reason and image.header.study and not image.study_of_table:
            patients[image.header.study].add(image.patient)
    return sum(1 < len(who) <= MOST_PATIENTS for who in patients.values())


def many_in_one(images: Sequence[Image]) -> dict[str, int]:
    """Return the patients of the tables who may be several women, each with the number of PatientIDs in her headers."""
    return many_women(
        (image.patient, image.laterality + image.view, spelling_free(image.header.patient))
        for image in images
        if image.reason in ("", REPEATED) and not names_nobody(image.header.patient)
    )


def both_labels(images: Sequence[Image]) -> int:
    """Count the breasts that are positive and negative in one exam."""
    labels: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for image in images:
        if not image.reason and image.study != UNKNOWN_EXAM:
            labels[image.patient, image.study, image.laterality].add(image.label)
    return sum(len(found) > 1 for found in labels.values())
