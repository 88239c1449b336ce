"""Read the outlines of an XML file of OsiriX (a property list), as INbreast has them. The file comes from outside, so
its size is limited, entities are refused, and nothing of it is believed."""

from __future__ import annotations

import math
import plistlib
import re
from pathlib import Path
from typing import Any

from mammogan.data.regions.lesion_region import Refused
from mammogan.io.atomic import is_file

MOST_BYTES = 10 << 20
"""A file with some hundred outlines has about a million bytes."""
MOST_POINTS = 100_000
NUMBER = r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)"
POINT = re.compile(rf"\s*\(\s*{NUMBER}\s*,\s*{NUMBER}\s*\)\s*")


def read_outlines(path: Path) -> list[dict[str, Any]]:
    """Return the entries of all outlines, of which each is still to be read. Raise Refused for the complete file."""
    try:
        if not is_file(path):
            raise Refused("unreadable", "no regular file")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise Refused("too_large", f"{size} bytes, expected {MOST_BYTES} at most")
        values = plistlib.loads(path.read_bytes(), fmt=plistlib.FMT_XML)  # refuses every declaration of an entity
    except OSError as error:
        raise Refused("unreadable", repr(error)) from error
    except Refused:
        raise
    except Exception as error:  # a damaged property list can raise anything
        raise Refused("malformed", repr(error)) from error
    images = values.get("Images") if isinstance(values, dict) else None
    if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], dict):
        raise Refused("malformed", "expected a property list with one image under Images")
    outlines = images[0].get("ROIs")
    if not isinstance(outlines, list) or not all(isinstance(outline, dict) for outline in outlines):
        raise Refused("malformed", "expected a list of outlines under ROIs")
    if (number := images[0].get("NumberOfROIs", len(outlines))) != len(outlines):
        raise Refused("malformed", f"{len(outlines)} outlines, but NumberOfROIs is {number}")
    return outlines


def name_of(outline: dict[str, Any]) -> str:
    """Return what an outline is called, in lower case; empty if it has no name."""
    name = outline.get("Name")
    return " ".join(name.lower().split()) if isinstance(name, str) else ""


def points_of(outline: dict[str, Any]) -> list[tuple[float, float]]:
    """Return the points (x, y) of an outline, in pixels. Raise Refused if they are not understood."""
    texts = outline.get("Point_px")
    if not isinstance(texts, list) or not texts:
        raise Refused("no_outline", "no Point_px")
    if (number := outline.get("NumberOfPoints", len(texts))) != len(texts) or len(texts) > MOST_POINTS:
        raise Refused("malformed", f"{len(texts)} points, but NumberOfPoints is {number}")
    return [_point(text) for text in texts]


def _point(text: Any) -> tuple[float, float]:
    match = POINT.fullmatch(text) if isinstance(text, str) else None
    try:
        x, y = (float(number) for number in match.groups()) if match else (math.nan, math.nan)
    except ValueError:
        x, y = math.nan, math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise Refused("malformed", "a point that is no pair of numbers (x, y)")
    return x, y
