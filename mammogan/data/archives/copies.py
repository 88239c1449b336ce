"""Find copies of an image by its pixels, and UIDs that cannot be unique, so that they say nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mammogan.data.archives.candidates import Image
from mammogan.data.archives.header import pixels_digest
from mammogan.data.cohort.identifiers import MOST_PATIENTS

MOST_COMPARED = 100
"""Of more files with one SOPInstanceUID the pixels are not read: the conversion reads them all and finds the copies."""


def without_constant_studies(images: Sequence[Image]) -> list[Image]:
    """Take each StudyInstanceUID that stands in files of several patients for no exam; the file's folder then is the
    exam. Take it away if the patients are many: of two or three it may say that they are one woman."""
    patients: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        if image.header.study and image.patient:
            patients[image.header.study].add(image.patient)
    return [_without_study(image, len(patients.get(image.header.study, ()))) for image in images]


def _without_study(image: Image, patients: int) -> Image:
    if patients < 2:
        return image
    study = image.study if image.entry and image.entry.study else image.path.parent.as_posix()
    header = replace(image.header, study="") if patients > MOST_PATIENTS else image.header
    return replace(image, header=header, study=study)


def without_copies(images: Sequence[Image], root: Path) -> list[Image]:
    """Of the usable files with the same SOPInstanceUID and the same pixels, keep only the first; none if their labels
    differ, since nobody knows which label is right.

    A UID alone says nothing: some anonymisers give one to all files.
    """
    same: defaultdict[bytes, list[Image]] = defaultdict(list)
    digests = _digests(images, root)
    for image in images:
        if digest := digests.get(image.path.as_posix()):
            same[digest].append(image)
    return [
        _judged(image, same[digests[path]]) if (path := image.path.as_posix()) in digests else image for image in images
    ]


def shared_uids(images: Sequence[Image]) -> int:
    """Count the SOPInstanceUIDs that several used files have, whose pixels differ."""
    uses = Counter(image.header.instance for image in images if image.header.instance and not image.reason)
    return sum(number > 1 for number in uses.values())


def _digests(images: Sequence[Image], root: Path) -> dict[str, bytes]:
    """Return the hash of UID and pixels of each usable file whose UID another one has too."""
    groups: defaultdict[str, list[Image]] = defaultdict(list)
    for image in images:
        if image.header.instance and not image.reason:
            groups[image.header.instance].append(image)
    return {
        image.path.as_posix(): instance.encode() + pixels_digest(root / image.path)
        for instance, group in groups.items()
        if 1 < len(group) <= MOST_COMPARED
        for image in group
    }


def _judged(image: Image, same: Sequence[Image]) -> Image:
    """Return the image, left out if it is not the first in ``same``, which are all files with its pixels, or if these
    have different labels."""
    if contrary := [other.path.as_posix() for other in same if other.label != image.label]:
        return image.out("labels_conflict", f"the pixels of {' and of '.join(contrary)}, with the other label")
    if image is same[0]:
        return image
    if image.patient != same[0].patient:
        return image.out(
            "duplicate_conflict", f"the pixels of {same[0].path.as_posix()}, which is used, of another patient"
        )
    return image.out("duplicate", "the SOPInstanceUID and the pixels of an earlier file")
