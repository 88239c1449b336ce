"""Find copies of an image by its pixels, and SOPInstanceUIDs that cannot be unique, so that they say nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from mammogan.data.archives.candidates import Image
from mammogan.data.archives.header import pixels_digest

MOST_COMPARED = 100
"""Of more files with one SOPInstanceUID the pixels are not read: the conversion reads them all and finds the copies."""


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
