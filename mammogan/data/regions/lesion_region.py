"""What an archive says of one lesion: the pixels of a film that are in it, or the reason why they cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

REASONS = {
    "size": "drawn on another size than the film's, and not rescaled",
    "side": "of another side than the film",
    "outside": "not within the film",
    "no_outline": "a lesion without the points, corners or mask that say where it is",
    "unknown_name": "of a kind that is not known to be a lesion, nor to be none",
    "malformed": "not understood, or not as such a file should be",
    "too_large": "a file larger than any of this kind should be",
    "unreadable": "a file that cannot be read",
    "no_film": "of a film that is not in the archive",
    "other_film": "of another film of the same breast and view, whose pixels differ",
    "ambiguous": "of one of several films that the file could be",
    "unread": "a table or folder of regions that was not read, so that its lesions are not known",
}
"""Why a region is not used, by code."""


class Refused(Exception):
    """Raised for a region that is not used: ``code`` is one of REASONS, ``detail`` may quote the file."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Film:
    """The frame that regions are drawn on: its path within the archive, stored height and width, and side."""

    path: str
    shape: tuple[int, int]
    laterality: str


@dataclass(frozen=True)
class LesionRegion:
    """One region of an archive; ``film`` is None if it has none here, ``refused`` a code of REASONS or empty."""

    film: Film | None
    source: str
    """The file or the row of a table that it comes from; private."""
    category: str = ""
    runs: str = ""
    """Its pixels, as ``runs.to_text`` writes them."""
    refused: str = ""
    detail: str = ""

    @classmethod
    def left_out(cls, film: Film | None, source: str, refused: Refused) -> LesionRegion:
        """Return a region that is not used, with its reason."""
        return cls(film, source, refused=refused.code, detail=refused.detail)


def check_inside(points: Sequence[tuple[float, float]], film: Film) -> None:
    """Raise Refused if a point (x, y) is not within the film."""
    height, width = film.shape
    out = [(x, y) for x, y in points if not (0 <= x <= width and 0 <= y <= height)]
    if out:
        raise Refused("outside", f"{len(out)} of {len(points)} points, such as x {out[0][0]:g}, y {out[0][1]:g}")
