"""Select an archive's images for the cohort: digitised film, labels, copies, repeated views, official splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mammogan.data.archives.base import Archive, Catalogue
from mammogan.data.archives.candidates import Image
from mammogan.data.archives.copies import without_copies
from mammogan.data.archives.exams import tell_exams_apart
from mammogan.data.archives.labels import Cases, Finding, Policy
from mammogan.data.archives.repeats import best_of_repeats
from mammogan.data.archives.same_woman import refuse_two_spellings
from mammogan.data.archives.tables import UNKNOWN_CELL
from mammogan.data.cohort.identifiers import patient_of
from mammogan.data.cohort.split import divide
from mammogan.errors import UserError

TRAINING_TENTHS = {"validation": 1, "train": 9}
"""How many tenths of an official training part go to validation and to train."""


@dataclass(frozen=True)
class Selection:
    """Options that decide which of an archive's images get into the cohort."""

    policy: Policy = field(default_factory=Policy)
    allow_film: bool = False
    repeats: Literal["best", "all"] = "best"
    split: Literal["own", "official"] = "own"
    seed: int = 0


def select(
    images: Sequence[Image], archive: Archive, catalogue: Catalogue, selection: Selection, root: Path
) -> list[Image]:
    """Return all images in the same order, each with its label or with the reason why it is left out."""
    chosen = tell_exams_apart([without_film(image, archive, selection.allow_film) for image in images])
    chosen = labelled(chosen, catalogue, selection.policy, archive)
    refuse_two_spellings(chosen, catalogue)
    chosen = without_copies(chosen, root)
    if selection.repeats == "best":
        chosen = best_of_repeats(chosen)
    if selection.split == "official" or (archive.is_own and any(image.split for image in chosen)):
        return officially_split(chosen, archive, selection.seed)
    return [replace(image, split="") for image in chosen]


def without_film(image: Image, archive: Archive, allowed: bool) -> Image:
    """Leave out digitised film and secondary captures, another kind of image, unless they are ``allowed``."""
    if allowed or not (archive.is_film or image.header.is_film or image.header.is_secondary):
        return image
    is_film = archive.is_film or image.header.is_film
    return image.out("film" if is_film else "cad_or_sc", "" if is_film else "a secondary capture")


def labelled(images: Sequence[Image], catalogue: Catalogue, policy: Policy, archive: Archive) -> list[Image]:
    """Label the images by their findings.

    In a public archive, a finding is first corrected by what the tables say of the woman's other images.
    """
    if archive.is_own:
        return [_labelled(image, Cases(), policy) for image in images]
    cases = Cases()
    cases.add((e.patient, e.laterality, e.study, e.finding) for e in catalogue.entries.values())
    cases.add((i.entry.patient, i.laterality, i.study, i.entry.finding) for i in images if i.entry)
    entries = [*catalogue.entries.values(), *(image.entry for image in images if image.entry)]
    unread = {entry.patient for entry in entries if entry.excluded == UNKNOWN_CELL} - {""}
    return [_labelled(_without_unread(image, unread), cases, policy) for image in images]


def _without_unread(image: Image, unread: Set[str]) -> Image:
    """Leave out the images of a woman of whom a cell was not understood: it may say that she has cancer."""
    if image.entry is None or image.entry.patient not in unread:
        return image
    return image.out(UNKNOWN_CELL, "in the row of another of her images")


def _labelled(image: Image, cases: Cases, policy: Policy) -> Image:
    if image.entry is None or not image.laterality:
        return image
    entry = image.entry
    finding: Finding = cases.settled(entry.patient, image.laterality, entry.study or image.study, entry.finding)
    image = replace(image, finding=finding)
    if finding == "unknown":
        return image.out("no_label")
    label = policy.label(finding)
    return replace(image, label=label) if label else image.out(f"label_{finding}")


def officially_split(images: Sequence[Image], archive: Archive, seed: int) -> list[Image]:
    """Use the archive's own split; if it has no validation part, take one from the training part by patient and label.

    If a patient is in the test part and in another one, only her test images are used. In a user's own table this may
    be a mistake of the author, and raises UserError.
    """
    if not archive.has_split:
        raise UserError(f"--split official: {archive.name} has none; leave it out to have one made by patient")
    used = [image for image in images if not image.reason]
    if archive.is_own:
        _refuse_divided_patients(used)
    tested = {image.patient for image in used if image.split == "test"}
    chosen = [
        image.out("split_conflict") if image.patient in tested and image.split != "test" else image for image in images
    ]
    used = [image for image in chosen if not image.reason]
    if missing := sum(not image.split for image in used):
        tables = "your table" if archive.is_own else f"the tables of {archive.name}"
        raise UserError(
            f"expected a split in every row of {tables} that is used, or in none; {missing} of {len(used)} have none"
        )
    if any(image.split == "validation" for image in used):
        return chosen
    validated = _tenth(((i.patient, i.label) for i in used if i.split == "train"), seed)
    return [replace(image, split="validation") if image.patient in validated else image for image in chosen]


def _refuse_divided_patients(images: Sequence[Image]) -> None:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        if image.split:
            splits[patient_of(image.patient)].add(image.split)
    if divided := sum(len(parts) > 1 for parts in splits.values()):
        who = "1 patient is" if divided == 1 else f"{divided} patients are"
        raise UserError(
            f"{who} in more than one split of your table; give all images of a patient one split, or take the column "
            "away to have the patients divided"
        )


def _tenth(labels: Iterable[tuple[str, str]], seed: int) -> set[str]:
    """Choose about a tenth of the patients with a positive image and of those without, by a hash of each patient.

    At least one of each group is chosen, unless the group has fewer than two patients.
    """
    is_positive: dict[str, bool] = {}
    for patient, label in labels:
        is_positive[patient] = is_positive.get(patient, False) or label == "positive"
    chosen: set[str] = set()
    for wanted in (True, False):
        members = [patient for patient, positive in is_positive.items() if positive == wanted]
        splits = divide(members, seed, TRAINING_TENTHS).splits if len(members) > 1 else {}
        chosen.update(patient for patient, split in splits.items() if split == "validation")
    return chosen
