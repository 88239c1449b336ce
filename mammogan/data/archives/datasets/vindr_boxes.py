"""Read the boxes of lesions that VinDr-Mammo has in finding_annotations.csv, in pixels of the files."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from pathlib import PurePath

from mammogan.data.archives.base import Found, TableSignature
from mammogan.data.archives.tables import Cells
from mammogan.data.regions.lesion_region import Film, LesionRegion, Refused, check_inside
from mammogan.data.regions.runs import runs_of_box, to_text
from mammogan.errors import UserError

CORNERS = ("xmin", "ymin", "xmax", "ymax")
TABLE = TableSignature("finding_annotations.csv", frozenset({"image_id", "finding_categories", *CORNERS}))
LESIONS = {
    "mass", "suspicious calcification", "asymmetry", "focal asymmetry", "global asymmetry", "architectural distortion",
}  # fmt: skip
NO_LESIONS = {"no finding", "skin thickening", "skin retraction", "nipple retraction", "suspicious lymph node"}
"""Categories that say nothing of where in the breast a lesion is."""


def read(found: Found, of_key: Mapping[str, Film | None]) -> Iterator[LesionRegion]:
    """Yield the box of each lesion, or why it is not used.

    ``of_key``: the films by name, without folder and ending; None for one that is not used.
    """
    yield from (LesionRegion(None, name, refused="unread", detail=why) for name, why in _unread(found))
    for table in found.matching(TABLE):
        try:
            rows = list(table.rows())
        except (UserError, OSError, ValueError) as error:
            why = str(error).removeprefix(f"table {table.path.name}: ")
            yield LesionRegion(None, table.path.name, refused="unread", detail=why)
            continue
        if not rows:
            yield LesionRegion(None, table.path.name, refused="unread", detail="expected rows, found the header only")
        for row in rows:
            key = row.get("image_id", "").lower()
            film, source = of_key.get(key), f"{table.path.name}: {key}"
            if key in of_key and film is None:  # the film is not used
                continue
            try:
                if category := category_of(row):
                    yield LesionRegion(film, source, category, _box(row, film))
            except Refused as error:
                yield LesionRegion.left_out(film, source, error)


def _unread(found: Found) -> Iterator[tuple[str, str]]:
    """Yield each table that has the name of the table of boxes and is not read as one, and why."""
    fitting = found.matching(TABLE)
    for table in found.tables:
        if _has_the_name(table.path) and table not in fitting:
            lacking = ", ".join(sorted(TABLE.columns - table.columns))
            yield table.path.name, f"expected the columns of lesions too, found none called {lacking}"
    for path, why in found.unread:
        if _has_the_name(path):
            yield path.name, f"expected a table, found {why}"
    for path in found.not_named:
        if _has_the_name(path) and not fitting:
            yield path.name, "it is in the archive, but --tables does not name it"


def _has_the_name(path: PurePath) -> bool:
    return path.name.lower() == TABLE.usual_name


def category_of(row: Cells) -> str:
    """Return the categories of a finding that are lesions, or an empty string. Raise Refused for unknown ones."""
    try:
        listed = ast.literal_eval(row.get("finding_categories", ""))
        names = [" ".join(name.lower().split()) for name in listed]
    except (SyntaxError, ValueError, TypeError, AttributeError, MemoryError, RecursionError):
        raise Refused("malformed", "finding_categories is no list of words") from None
    if isinstance(listed, str):
        raise Refused("malformed", "finding_categories is no list of words")
    if unknown := [name for name in names if name not in LESIONS | NO_LESIONS]:
        raise Refused("unknown_name", ", ".join(unknown))
    return ", ".join(name for name in names if name in LESIONS)


def _box(row: Cells, film: Film | None) -> str:
    if film is None:
        raise Refused("no_film")
    if not all(row.get(corner) for corner in CORNERS):
        raise Refused("no_outline")
    try:
        xmin, ymin, xmax, ymax = (float(row[corner]) for corner in CORNERS)
        size = tuple(float(row[name]) if row.get(name) else None for name in ("height", "width"))
    except ValueError:
        raise Refused("malformed", "corners or size that are no numbers") from None
    side = row.side("laterality")
    if row.unread or not all(map(math.isfinite, (xmin, ymin, xmax, ymax))):
        raise Refused("malformed", row.fault or "corners that are no numbers")
    if side and side != film.laterality:
        raise Refused("side", f"{side}, the film {film.laterality}")
    if any(given is not None and given != own for given, own in zip(size, film.shape, strict=True)):
        raise Refused("size", f"{size[0]} x {size[1]}, the film {film.shape[0]} x {film.shape[1]}")
    if xmin > xmax or ymin > ymax:
        raise Refused("malformed", "a box that ends before it begins")
    check_inside([(xmin, ymin), (xmax, ymax)], film)
    return to_text(runs_of_box(xmin, ymin, xmax, ymax, film.shape))
