"""Decide when the free text of a series may leave an image out: only if it describes this one image, and no code does.

Devices copy the name of the study into it, in any language, and a study with tomosynthesis has plain views too.
"""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

from mammogan.data.archives.views import is_of_one_view, laterality_in, view_in
from mammogan.data.dicom.usable import WORDS, is_coded_as_plain, without_denials

OF_AN_IMAGE = re.compile(
    r"\b(breast(?=\s+image)|3d|images?|view|slices?|frames?|projections?|reconstructions?|reconstructed|overlays?|marks?|"
    r"markers?|results?|compression|radiograph|radiography|paddle)\b",
    re.I,
)
"""Words that devices write beside the kind, side and view of one image."""
SEVERAL = re.compile(r"[+&]\s*\w*[^\W\d_]")
"""A sign that joins two kinds, as in '2D + tomo': the text is of both."""


def kind_named(description: str) -> str:
    """Return the reason for which a series' description speaks against an image; an empty string if it does not."""
    said = without_denials(description)
    return next((reason for reason, words in WORDS if words.search(said)), "")


def decides(description: str, header: Dataset, sides: set[str], views: set[str]) -> bool:
    """Return whether the description leaves the image out, rather than raise a doubt.

    It does if nothing coded says that the image is a plain view, the text describes one image, and this image:
    ``sides`` and ``views`` are those that the rest of the header gives it.
    """
    if not kind_named(description) or is_coded_as_plain(header) or not is_of_one_image(description):
        return False
    _, place = _kinds_and_place(description)
    return _agrees(laterality_in(place), sides) and _agrees(view_in(place), views)


def is_of_one_image(description: str) -> bool:
    """Return whether a text, as 'L CC spot', is nothing but a kind of image, a side and a view: no name of a study.

    A text of several kinds without a view, as 'CAD Tomo', is of a study.
    """
    kinds, place = _kinds_and_place(description)
    return not SEVERAL.search(description) and is_of_one_view(place) and (kinds <= 1 or bool(view_in(place)))


def _kinds_and_place(description: str) -> tuple[int, str]:
    """Return how many kinds a text names, and what is left of it without the words of kinds and images."""
    kinds, rest = 0, without_denials(description)
    for _, words in WORDS:
        rest, found = words.subn(" ", rest)
        kinds += bool(found)
    return kinds, OF_AN_IMAGE.sub(" ", rest)


def _agrees(named: str, known: set[str]) -> bool:
    return not (named and known) or named in known
