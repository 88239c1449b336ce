"""Which way a mammogram lies: the pixels decide, the header is asked too, and a disagreement is a flag.

Canonical is: chest wall at column 0, nipple to the right, head (MLO) or lateral side (CC) at the top.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data.flags import Flag, raised

OVERVIEW = 192  # longest side, in blocks, of the overview in which the breast is looked for
ROWS = (
    4  # of each block that are looked at; with a detector's block of 18 x 18 that are 72 pixels, noise enough averaged
)
MARGIN = 0.02  # of each side, where film edges and collimator borders shine
BAND = 0.04  # of the width, next to the margin, that a breast at this side fills
ORIENTATION = re.compile(r"[APRLHF]{1,3}")


@dataclass(frozen=True)
class Orientation:
    """Flips that bring a stored frame into the canonical orientation."""

    flip_h: bool
    flip_v: bool
    flags: list[Flag] = field(default_factory=list)

    def canonical(self, frame: NDArray[Any]) -> NDArray[Any]:
        """A view of a stored frame (h,w) in the canonical orientation."""
        return frame[:: -1 if self.flip_v else 1, :: -1 if self.flip_h else 1]


def overview(pixels: NDArray[Any], table: NDArray[np.float32] | None = None) -> tuple[NDArray[np.float32], int]:
    """Means of an image's blocks, of ROWS of their rows, and a block's side in pixels; with a ``table``, of what it has
    for each pixel."""
    side = max(1, -(-max(pixels.shape) // OVERVIEW))
    rows, cols = pixels.shape[0] // side, pixels.shape[1] // side
    looked_at = range(0, side, max(1, side // ROWS))
    small = np.zeros((rows, cols), np.float32)
    for row in looked_at:
        line = pixels[row : rows * side : side, : cols * side]
        shown = line if table is None else table.take(line, mode="clip")
        small += shown.reshape(rows, cols, side).mean(axis=2, dtype=np.float32)
    small /= len(looked_at)
    return small, side


def breast_mask(small: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The largest bright region of an overview, borders left out: the breast, not the labels beside it."""
    inner = within_margins(small.shape)
    dark = float(np.percentile(small[inner], 5))
    # A third of the way to Otsu's threshold keeps fatty tissue and skin in, scanner noise out.
    bright = np.zeros(small.shape, bool)
    bright[inner] = small[inner] > dark + (_otsu(small[inner]) - dark) / 3
    regions, count = ndimage.label(bright)
    if count == 0:
        return np.zeros(small.shape, bool)
    largest = 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
    mask: NDArray[np.bool_] = regions == largest
    return mask


def enclosed(mask: NDArray[np.bool_], chest_wall_right: bool) -> NDArray[np.bool_]:
    """The breast's mask with its holes filled, also those that only the chest wall closes, such as an implant's."""
    inner = within_margins(mask.shape)
    wall = ((0, 0), (0, 1) if chest_wall_right else (1, 0))
    filled = ndimage.binary_fill_holes(np.pad(mask[inner], wall, constant_values=True))
    whole = mask.copy()
    whole[inner] = filled[:, :-1] if chest_wall_right else filled[:, 1:]
    return whole


def within_margins(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Where in an overview the breast is looked for."""
    margins = [max(1, round(side * MARGIN)) for side in shape]
    return tuple(slice(margin, side - margin) for margin, side in zip(margins, shape, strict=True))


def _otsu(values: NDArray[np.float32]) -> float:
    """The threshold that parts values into two classes of greatest between-class variance."""
    counts, edges = np.histogram(values, bins=256)
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sum_below = np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sum_below / below - (sum_below[-1] - sum_below) / above
        between = np.nan_to_num(below * above * gap**2)
    return float(centers[int(np.argmax(between))])


def orient(mask: NDArray[np.bool_], declared: tuple[str, ...], laterality: str, view: str) -> Orientation:
    """Flips for a frame whose breast is ``mask``; ``declared`` is its PatientOrientation (row, column), or anything."""
    expected = _declared_right(declared)
    if expected is None:
        expected = laterality == "R"
    seen = _seen_right(mask)
    flip_v = _declared_upside_down(declared, laterality, view)
    flags = raised(
        {
            "detached": seen is None and bool(mask.any()),
            "breast_not_found": not mask.any(),
            "orientation_disagrees": seen is not None and seen != expected,
            "upside_down": flip_v,
        }
    )
    return Orientation(expected if seen is None else seen, flip_v, flags)


def _seen_right(mask: NDArray[np.bool_]) -> bool | None:
    """Whether the breast touches the right side rather than the left one; None when it touches neither or both."""
    inner = mask[within_margins(mask.shape)]
    band = max(2, round(inner.shape[1] * BAND))
    left, right = inner[:, :band].all(axis=1).mean(), inner[:, -band:].all(axis=1).mean()
    if max(left, right) < 2 * min(left, right) + 0.02:
        return None
    return bool(right > left)


def _declared_right(declared: tuple[str, ...]) -> bool | None:
    """Chest wall at the right by the header: its rows run towards posterior."""
    if not _is_orientation(declared):
        return None
    return {"A": False, "P": True}.get(declared[0][0])


def _declared_upside_down(declared: tuple[str, ...], laterality: str, view: str) -> bool:
    """Columns run towards the head (MLO) or towards the lateral side (CC), by the header."""
    if not _is_orientation(declared):
        return False
    lateral = laterality
    return "H" in declared[1] if view == "MLO" else declared[1][0] == lateral


def _is_orientation(declared: tuple[str, ...]) -> bool:
    return len(declared) == 2 and all(ORIENTATION.fullmatch(part) for part in declared)
