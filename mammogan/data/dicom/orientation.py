"""Find the orientation of a mammogram: left or right by its pixels, up or down by its header; a flag marks doubt.

The canonical orientation: chest wall at column 0, nipple to the right, head (MLO) or lateral side (CC) at the top.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data.dicom.flags import Flag, raised
from mammogan.data.dicom.unusable import Unusable

OVERVIEW = 192
"""Longest side, in blocks, of the overview in which the breast is searched for."""
ROWS = 4
"""Fewest rows read in each block: 72 pixels of a detector's block of 18 x 18, enough to average out noise."""
MARGIN = 0.02
"""Share of each side that is ignored at both ends, because film edges and collimator borders are bright there."""
BAND = 0.04
"""Share of the width, next to the margin, that the breast must fill to touch that side."""
ORIENTATION = re.compile(r"[APRLHF]{1,3}")


@dataclass(frozen=True)
class Orientation:
    """The flips that bring a stored frame into the canonical orientation."""

    flip_h: bool
    flip_v: bool
    flags: list[Flag] = field(default_factory=list)

    def canonical(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a stored frame (h,w) in the canonical orientation."""
        return frame[:: -1 if self.flip_v else 1, :: -1 if self.flip_h else 1]


def overview(pixels: NDArray[Any], table: NDArray[np.float32] | None = None) -> tuple[NDArray[np.float32], int]:
    """Shrink an image (h,w) to the means of square blocks; return them and the block's side in pixels.

    Only some rows of each block are read, see ROWS. With a ``table``, each pixel is first replaced by its entry there.
    """
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
    """Mark the largest bright region of an overview, margins excluded: the breast, not the labels beside it."""
    inner = within_margins(small.shape)
    bright = np.zeros(small.shape, bool)
    bright[inner] = small[inner] > least_bright(small)
    regions, count = ndimage.label(bright)
    if count == 0:
        return np.zeros(small.shape, bool)
    largest = 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
    mask: NDArray[np.bool_] = regions == largest
    return mask


def least_bright(small: NDArray[np.float32]) -> float:
    """Return the brightness above which a block of an overview may be breast."""
    inner = small[within_margins(small.shape)]
    dark = float(np.percentile(inner, 5))
    # A threshold at a third of the distance to Otsu's keeps fatty tissue and skin, and excludes scanner noise.
    return dark + (_otsu(inner) - dark) / 3


def enclosed(mask: NDArray[np.bool_], chest_wall_right: bool) -> NDArray[np.bool_]:
    """Return the breast's mask with its holes filled, also holes at the chest wall, such as that of an implant."""
    inner = within_margins(mask.shape)
    wall = ((0, 0), (0, 1) if chest_wall_right else (1, 0))
    filled = ndimage.binary_fill_holes(np.pad(mask[inner], wall, constant_values=True))
    whole = mask.copy()
    whole[inner] = filled[:, :-1] if chest_wall_right else filled[:, 1:]
    return whole


def filled_share(region: NDArray[np.bool_]) -> float:
    """Return which share of the rectangle around a region is the region's: 1 for a rectangle, less for a breast."""
    return float(region[ndimage.find_objects(region.astype(np.int8))[0]].mean()) if region.any() else 0.0


def within_margins(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the part of an overview in which the breast is searched for: everything but the margins."""
    margins = [max(1, round(side * MARGIN)) for side in shape]
    return tuple(slice(margin, side - margin) for margin, side in zip(margins, shape, strict=True))


def _otsu(values: NDArray[np.float32]) -> float:
    """Compute Otsu's threshold: it separates two classes with the largest between-class variance."""
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
    """Choose the flips for a stored frame from its breast ``mask`` and its header.

    ``declared`` is PatientOrientation (row, column); invalid values are ignored. Raises Unusable with ``rotated`` when
    the image lies on its side by the header, and the pixels do not show otherwise.
    """
    rotated = _declared_on_its_side(declared)
    if rotated and not _stands(mask):
        raise Unusable("rotated", "by PatientOrientation, the rows do not run between chest wall and nipple")
    expected = _declared_right(declared)
    if expected is None:
        expected = laterality == "R"
    seen = seen_right(mask)
    flip_v = _declared_upside_down(declared, laterality, view)
    flags = raised(
        {
            "detached": seen is None and bool(mask.any()),
            "breast_not_found": not mask.any(),
            "orientation_disagrees": rotated or (seen is not None and seen != expected),
            "upside_down": flip_v,
        }
    )
    return Orientation(expected if seen is None else seen, flip_v, flags)


def seen_right(mask: NDArray[np.bool_]) -> bool | None:
    """Return True if the breast touches the right side, False if the left, None if neither or both."""
    left, right = touched(mask)
    if max(left, right) < 2 * min(left, right) + 0.02:
        return None
    return bool(right > left)


def touched(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the shares of the left and of the right side that the breast touches."""
    inner = mask[within_margins(mask.shape)]
    band = max(2, round(inner.shape[1] * BAND))
    return float(inner[:, :band].all(axis=1).mean()), float(inner[:, -band:].all(axis=1).mean())


def _stands(mask: NDArray[np.bool_]) -> bool:
    """Return whether the chest wall is clearly at the left or the right, and not at the top or the bottom."""
    return seen_right(mask) is not None and max(touched(mask)) > 2 * max(touched(mask.T))


def _declared_on_its_side(declared: tuple[str, ...]) -> bool:
    """Return whether, by the header, the columns run between chest wall and nipple, instead of the rows."""
    return _is_orientation(declared) and declared[0][0] not in "AP" and declared[1][0] in "AP"


def _declared_right(declared: tuple[str, ...]) -> bool | None:
    """Return whether the header places the chest wall at the right: the rows run towards posterior; None if unknown."""
    if not _is_orientation(declared):
        return None
    return {"A": False, "P": True}.get(declared[0][0])


def _declared_upside_down(declared: tuple[str, ...], laterality: str, view: str) -> bool:
    """Return whether, by the header, the columns run towards the head (MLO) or the lateral side, that of the breast
    (CC)."""
    if not _is_orientation(declared):
        return False
    return "H" in declared[1] if view == "MLO" else declared[1][0] == laterality


def _is_orientation(declared: tuple[str, ...]) -> bool:
    return len(declared) == 2 and all(ORIENTATION.fullmatch(part) for part in declared)
