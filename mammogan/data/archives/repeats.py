"""Choose one of several images of one exam, side and view: the largest, and of equally large ones the latest.

Archives shift the days of a patient, all by the same number, so the order of her images can be trusted. Times are
compared only; no table or report has them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from mammogan.data.archives.base import Header
from mammogan.data.archives.candidates import Image
from mammogan.data.archives.labels import UNKNOWN_EXAM

TIMES = ("AcquisitionDateTime", "AcquisitionDate", "ContentDate")
"""The sources of the time of an image, the most trusted first; a date stands for itself with its time."""
REPEATED = "repeated_view"
"""Reason code of the images that are not the best."""
PREFERRED = "the {} is preferred"


def best_of_repeats(images: Sequence[Image]) -> list[Image]:
    """Leave out all repeated images but the best one of each exam, side and view; the detail says what decided.

    An image whose exam is not known repeats none.
    """
    by_view: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for position, image in enumerate(images):
        if not image.reason and image.study != UNKNOWN_EXAM:
            by_view[image.patient, image.study, image.laterality, image.view].append(position)
    chosen = list(images)
    for group in by_view.values():
        for position, decided_by in _surpassed(group, [images[position].header for position in group]):
            chosen[position] = chosen[position].out(REPEATED, PREFERRED.format(decided_by))
    return chosen


def _surpassed(positions: Sequence[int], headers: Sequence[Header]) -> Iterator[tuple[int, str]]:
    """Yield the positions of all images but the best, each with the words for what decided."""
    largest = max(header.area for header in headers)
    for position, header in zip(positions, headers, strict=True):
        if header.area < largest:
            yield position, "largest"
    equal = [(p, h) for p, h in zip(positions, headers, strict=True) if h.area == largest]
    criteria = list(_criteria([header for _, header in equal]))
    ranks = list(zip(*(values for _, values in criteria), strict=True))
    best = ranks.index(max(ranks))  # of equal ones the first
    for (position, _), rank in zip(equal, ranks, strict=True):
        if position != equal[best][0]:
            yield (
                position,
                next((w for (w, v), own in zip(criteria, rank, strict=True) if v[best] != own), "first file"),
            )


def _criteria(headers: Sequence[Header]) -> Iterator[tuple[str, Sequence[str] | Sequence[int]]]:
    """Yield what decides between equally large images, in this order, with the value of each; more is better.

    Times of different sources cannot be compared, so the first source counts that all of them have.
    """
    times = [dict(header.times) for header in headers]
    for source in (source for source in TIMES if all(source in own for own in times)):
        yield f"latest by {source}", [own[source] for own in times]
        break
    if all(header.series_number for header in headers):
        yield "latest by SeriesNumber", [header.series_number for header in headers]
    yield "latest by InstanceNumber", [header.number for header in headers]
