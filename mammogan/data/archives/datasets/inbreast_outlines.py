"""Read the outlines of lesions that INbreast has in AllXML/<file>.xml, in pixels of the file of that number.

These files give neither the size nor the side of their film, so only the points can show that one is of another film.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mammogan.data.archives.base import Found
from mammogan.data.regions.lesion_region import Film, LesionRegion, Refused, check_inside
from mammogan.data.regions.outline_file import name_of, points_of, read_outlines
from mammogan.data.regions.runs import runs_of_outline, to_text

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
    for path in found.texts:
        if path.suffix.lower() != ".xml":
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
