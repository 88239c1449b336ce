"""Find rectangles and strips of one value in the breast: parts of the picture that were lost, or hidden on purpose.

The border of tissue is never straight to the pixel. So many lines through the image in which one value begins at the
same pixel and ends at the same pixel, with tissue at both ends, show a part that is missing. Where it reaches the air
or the border of the image, it could also be what a collimator or a program left dark, so only a part that cuts the
breast off where it is wide, and reaches far, counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data.dicom.flags import Flag
from mammogan.data.dicom.greyscale import TOP, Curve
from mammogan.data.dicom.orientation import Orientation, filled_share, least_bright, within_margins
from mammogan.data.dicom.unusable import Unusable

SOME, MUCH = 0.01, 1 / 3
"""Shares of the breast: more lost than that is flagged; left out."""
FEWEST_LINES = 8
"""A part that fewer lines, one for each block of the overview, run through is no larger than a clip."""
SHORTEST = 4
"""A stretch of one value counts if it is this many times as long as is usual in the image, where programs may have
repeated pixels to enlarge it; in large images a third of a block at least: scanners repeat lines."""
SHORT = 32
"""Stretches of fewer pixels belong together only if they have one value, and lie side by side. Strong JPEG compression
leaves many blocks of 8 x 8 pixels without texture, which begin and end alike along a row, but differ in value."""
STRAIGHT = 1 / 3
"""Of all places of one value at the same height, this share must begin and end alike; an implant is round."""
JPEG, ROW = 8, 10
"""Side of a JPEG block in pixels, and how many blocks in a row must have one value to be lost. It matters in images of
up to 192 pixels only: in others one block is not FEWEST_LINES wide."""
CORNER = 2
"""Fewer lines of different lengths beside a part show no round corner."""
CUT, FAR = 0.7, 0.3
"""A part that is open to one side counts if the cut is wider than CUT of the breast, and the part reaches over
FAR of the image; a field for small breasts on a large detector leaves at most a quarter dark."""
FRAME = 0.98
"""What fills more of the rectangle around it shows no outline of a breast, so it may end where the field ends."""
LARGE = 1 / 8
"""Bright regions that are smaller than this share of the largest are labels instead of pieces of the breast."""
NEAR = 3
"""Farther than this many blocks from every piece of the breast, nothing is tissue."""


@dataclass(frozen=True)
class Runs:
    """Stretches of one value along the lines of an image: line, first and last pixel, the value as 16-bit pattern, and
    whether tissue is beside."""

    line: NDArray[np.intp]
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    value: NDArray[np.uint16]
    after_tissue: NDArray[np.bool_]
    before_tissue: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> Runs:
        """Return the runs that are marked in ``chosen``."""
        return Runs(*(values[chosen] for values in vars(self).values()))


def check_lost_pixels(
    patterns: NDArray[np.uint16], plain: Curve, padding: NDArray[np.intp], block: int, orientation: Orientation
) -> list[Flag]:
    """Return the flag for a hole in the breast, if there is one. Raises Unusable if much of the breast is lost.

    ``plain`` is the brightness of the ``patterns`` (h,w), linear in the stored values; ``block`` the side of a block of
    the overview. Where the header declares ``padding`` that is bright, a bright part of its value may be an implant,
    which has another flag, unless it is large. Parts of less than SHORT pixels each way or SHORTEST usual stretches, or
    with a border that is not parallel to a side, are not seen.
    """
    towards_wall = (False, True) if orientation.flip_h else (True, False)

    def lost(but: NDArray[np.intp]) -> float:
        across = _lost(patterns.T, plain, but, block, towards_wall)
        return max(across, _lost(patterns, plain, but, block, (True, True)))

    if (share := lost(padding[:0])) > MUCH:
        raise Unusable("pixels_lost", f"{share:.0%} of the breast have one value, within straight borders")
    if share > SOME and (not padding.size or lost(padding[plain[padding] > TOP / 2]) > SOME):
        return ["hole_in_breast"]
    return []


def _lost(
    patterns: NDArray[np.uint16], plain: Curve, but: NDArray[np.intp], block: int, open_after: tuple[bool, bool]
) -> float:
    """Return which share of the breast is lost, by the lines down the image; parts of the values ``but`` do not count.

    ``open_after``: whether a part that is open to one side counts with tissue before it, and with tissue after it.
    """
    lines = np.ascontiguousarray(patterns[:, ::block].T)
    runs, tissue = _runs(lines, plain, block)
    runs = runs.where(~np.isin(runs.value, but))
    pieces = [*_enclosed(runs, block, len(lines))]
    if filled_share(tissue) <= FRAME:
        pieces += _open(runs, open_after, lines.shape[1], int(tissue.sum(axis=0).max(initial=0)))
    lost = sum(pieces) / block  # in blocks
    return lost / (lost + int(tissue.sum())) if lost else 0.0


def _runs(lines: NDArray[np.uint16], plain: Curve, block: int) -> tuple[Runs, NDArray[np.bool_]]:
    """Return the runs of one value in ``lines`` (n,h) of an image, and the blocks (n,h/block) that are tissue."""
    starts = np.ones(lines.shape, bool)
    starts[:, 1:] = lines[:, 1:] != lines[:, :-1]
    begin = np.flatnonzero(starts)
    length = np.diff(begin, append=lines.size)
    line, first = np.divmod(begin, lines.shape[1])
    usual = _usual(length[plain[lines[line, first]] > least_bright(plain[lines[:, ::block]].astype(np.float32))])
    is_long = length >= max(SHORTEST * usual, block // 3)
    line, first, last = line[is_long], first[is_long], (first + length - 1)[is_long]
    marks = np.zeros((len(lines), lines.shape[1] + 1), np.int8)
    marks[line, first] += 1
    marks[line, last + 1] -= 1  # where the next run may begin
    covered = marks.cumsum(axis=1, dtype=np.int8)[:, :-1] > 0

    small = plain[lines[:, ::block]].astype(np.float32)
    small[covered[:, ::block]] = small.min()
    least = least_bright(small)
    tissue = _pieces(small > least)
    near = ndimage.binary_dilation(tissue, iterations=NEAR)

    def is_tissue(pixel: NDArray[np.intp]) -> NDArray[np.bool_]:
        inside = (pixel >= 0) & (pixel < lines.shape[1])
        at = np.where(inside, pixel, 0)
        bright = plain[lines[line, at]] > least
        found: NDArray[np.bool_] = inside & bright & ~covered[line, at] & near[line, at // block]
        return found

    return Runs(line, first, last, lines[line, first], is_tissue(first - 1), is_tissue(last + 1)), tissue


def _usual(lengths: NDArray[np.intp]) -> float:
    """Return how long a stretch of one value is in the tissue of this image: 1, or more where pixels were enlarged.

    Each stretch counts once, however long: a hole has few of them, whatever its size.
    """
    return float(np.median(lengths)) if lengths.size else 1.0


def _pieces(bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the large regions of an overview that are marked as bright, margins excluded."""
    inner = np.zeros(bright.shape, bool)
    inner[within_margins(bright.shape)] = bright[within_margins(bright.shape)]
    regions, count = ndimage.label(inner)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    sizes[0] = 0
    large: NDArray[np.bool_] = (sizes > LARGE * sizes.max())[regions]
    return large


def _enclosed(runs: Runs, block: int, count: int) -> Iterator[int]:
    """Yield the area, in pixels of the ``count`` lines, of each part that has tissue at both ends."""
    closed = runs.where(runs.after_tissue & runs.before_tissue)
    is_short = closed.last - closed.first + 1 < SHORT
    for first, last, _, lines in _alike(closed.first, closed.last, np.where(is_short, _places(closed), 0)):
        if max(last - first + 1, lines * block) < SHORT or (block == 1 and _is_row_of_jpeg(first, last, lines)):
            continue
        middle = (first + last) // 2
        beside = np.count_nonzero((closed.first <= middle) & (middle <= closed.last))
        if lines >= FEWEST_LINES and lines > STRAIGHT * beside and not _is_round(closed, first, last, count):
            yield lines * (last - first + 1)


def _is_row_of_jpeg(first: int, last: int, lines: int) -> bool:
    """Return whether a part may be a row of blocks that strong compression left with one value."""
    thin, long = sorted((last - first + 1, lines))
    return thin <= JPEG and long < ROW * JPEG and first % JPEG == 0 == (last + 1) % JPEG


def _is_round(runs: Runs, first: int, last: int, count: int) -> bool:
    """Return whether lines of one value get shorter and shorter beside those from ``first`` to ``last``, as in an
    implant that is nearly square: on both sides, or on one if the other is at the border of the image."""
    alike = (runs.first == first) & (runs.last == last)
    shorter = (runs.first >= first) & (runs.last <= last) & ~alike & np.isin(runs.value, runs.value[alike])
    begins, ends = int(runs.line[alike].min()), int(runs.line[alike].max())
    before, after = (
        len({*zip(runs.first[shorter & side].tolist(), runs.last[shorter & side].tolist(), strict=True)})
        for side in (runs.line < begins, runs.line > ends)
    )
    at_border = begins < CORNER or count - 1 - ends < CORNER
    return min(before, after) >= CORNER or (at_border and max(before, after) >= CORNER)


def _places(runs: Runs) -> NDArray[np.intp]:
    """Number the runs so that those of one value in consecutive lines, which begin and end alike, share a number."""
    properties = np.stack([runs.line, runs.value, runs.last, runs.first])
    order = np.lexsort(properties)
    steps = np.diff(properties[:, order], axis=1)
    place = np.zeros(len(order), np.intp)
    place[order[1:]] = np.cumsum((steps[0] > 1) | steps[1:].any(axis=0))
    return place


def _open(runs: Runs, open_after: tuple[bool, bool], height: int, breast_width: int) -> Iterator[int]:
    """Yield the area of each part that cuts the breast off, with tissue at one end only."""
    length = runs.last - runs.first + 1
    for counts, here, there, end in (
        (open_after[0], runs.after_tissue, runs.before_tissue, runs.first),
        (open_after[1], runs.before_tissue, runs.after_tissue, runs.last),
    ):
        chosen = here & ~there & (length > FAR * height) if counts else np.zeros(len(here), bool)
        for at, *_, lines in _alike(end[chosen], end[chosen], np.zeros_like(end[chosen])):
            if lines >= max(FEWEST_LINES, CUT * breast_width):
                yield int(length[chosen & (end == at)].sum())


def _alike(*properties: NDArray[np.intp]) -> Iterator[tuple[int, ...]]:
    """Yield each combination of properties, such as a first and a last pixel, and how many lines have it."""
    combinations, counts = np.unique(np.stack(properties), axis=1, return_counts=True)
    yield from zip(*combinations.tolist(), counts.tolist(), strict=True)
