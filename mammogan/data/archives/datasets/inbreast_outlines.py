"""Read the outlines of lesions that INbreast has in AllXML/<file>.xml, in pixels of the file of that number.

These files give neither the size nor the side of their film, so only the points can show that one is of another film.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from mammogan.data.archives.base import Found
from mammogan.data.regions.lesion_region import Film, LesionRegion, Refused, check_inside
from mammogan.data.regions.outline_file import name_of, points_of, read_outlines
from mammogan.data.regions.runs import runs_of_outline, to_text
from mammogan.io.atomic import FOUND, place_of

FOLDER = "AllXML"
"""Folder of the outlines, beside that of the films."""

LESIONS = {
    "mass": "mass",
    "calcification": "calcification",
    "calcifications": "calcification",
    "cluster": "cluster",
    "spiculated region": "spiculated region",
    "espiculated region": "spiculated region",
    "asymmetry": "asymmetry",
    "assymetry": "asymmetry",
    "distortion": "distortion",
}
"""Category of each name, in the spellings of the archive. It also has outlines without a name, and 'Unnamed', 'Point 1'
and 'Point 3', of which nobody knows what they are."""
NO_LESIONS = {"pectoral muscle", "pectoral muscles"}


def read(found: Found, of_key: Mapping[str, Film | None]) -> Iterator[LesionRegion]:
    """Yield each outline of a lesion, or why it is not used.

    ``of_key``: the films by the numbers at the start of their names; None for one that is not used.
    """
    yield from (LesionRegion(None, FOLDER, refused="unread", detail=why) for why in _unread(found))
    for path in found.texts:
        if not _is_outlines(path):
            continue
        film, source = of_key.get(path.stem), path.as_posix()
        if path.stem not in of_key:
            yield LesionRegion(None, source, refused="no_film")
        elif film:
            try:
                outlines = read_outlines(found.root / path)
            except Refused as error:
                yield LesionRegion.left_out(film, source, error)
                continue
            yield from filter(None, (_region(outline, film, source) for outline in outlines))


def _unread(found: Found) -> Iterator[str]:
    """Yield why a folder of outlines is not read, if something of its name is beside the films or above them."""
    for above in sorted({above for image in found.images for above in image.parents}):
        folder = above / FOLDER
        place = place_of(found.root / folder)
        if place == "nothing" and not (found.root / folder).is_symlink():
            continue
        if place != "folder":
            why = FOUND.get(place, "a file")
        elif folder in found.closed:
            why = FOUND["closed"]
        elif not any(_is_outlines(text) and text.is_relative_to(folder) for text in found.texts):
            why = "a folder without .xml files"
        else:
            continue
        yield f"expected a folder with .xml files, found {why}"


def _is_outlines(path: PurePath) -> bool:
    return path.suffix.lower() == ".xml"


def _region(outline: dict[str, Any], film: Film, source: str) -> LesionRegion | None:
    name = name_of(outline)
    if name in NO_LESIONS:
        return None
    try:
        if name not in LESIONS:
            raise Refused("unknown_name", name)
        check_inside(points := points_of(outline), film)
    except Refused as error:
        return LesionRegion.left_out(film, source, error)
    return LesionRegion(film, source, LESIONS[name], to_text(runs_of_outline(points, film.shape)))
