"""Find copies of an image by its pixels, and UIDs that cannot be unique, so that they say nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mammogan.data.archives.candidates import Image
from mammogan.data.archives.header import pixels_digest

MOST_COMPARED = 100
"""Of more files with one SOPInstanceUID the pixels are not read: the conversion reads them all and finds the copies."""
MOST_PATIENTS = 3
"""An exam under more patients is no exam: an anonymiser gave one StudyInstanceUID to all. Fewer may be one woman with
several spellings."""


def without_constant_studies(images: Sequence[Image]) -> list[Image]:
    """Take away each StudyInstanceUID that stands in files of many patients; the file's folder then is the exam."""
    patients: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        if image.header.study and image.patient:
            patients[image.header.study].add(image.patient)
    constant = {study for study, who in patients.items() if len(who) > MOST_PATIENTS}
    return [_without_study(image) if image.header.study in constant else image for image in images]


def _without_study(image: Image) -> Image:
    study = image.study if image.entry and image.entry.study else image.path.parent.as_posix()
    return replace(image, header=replace(image.header, study=""), study=study)


def without_copies(images: Sequence[Image], root: Path) -> list[Image]:
    """Of the usable files with the same SOPInstanceUID and the same pixels, keep only the first.

    A UID alone says nothing: some anonymisers give one to all files.
    """
    digests = _digests(images, root)
    first: dict[bytes, Image] = {}
    kept = []
    for image in images:
        digest = digests.get(image.path.as_posix()) if not image.reason else None
        kept.append(_copy(image, first[digest]) if digest in first else image)
        if digest:
            first.setdefault(digest, image)
    return kept


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


def _copy(image: Image, earlier: Image) -> Image:
    differing = [name for name in ("patient", "label") if getattr(image, name) != getattr(earlier, name)]
    if differing:
        detail = f"the pixels of an earlier file that is used, but another {' and another '.join(differing)}"
        return image.out("duplicate_conflict", detail)
    return image.out("duplicate", "the SOPInstanceUID and the pixels of an earlier file")
