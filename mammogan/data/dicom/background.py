"""Separate breast, background and padding of an image, and make background and padding black in its grey curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data.dicom import greyscale
from mammogan.data.dicom.bright_air import is_air_bright
from mammogan.data.dicom.collimator import white_frame
from mammogan.data.dicom.flags import Flag
from mammogan.data.dicom.greyscale import Curve, GreyCurve
from mammogan.data.dicom.orientation import Orientation, breast_mask, enclosed, overview, within_margins
from mammogan.data.dicom.placement import Region

FRAME = 1 / 2
"""If more of the largest bright region than this is the white frame of a collimator, the breast is what else is bright.
A breast that is joined to a narrow frame is found with it."""
SKIN = 3
"""Width, in overview blocks, of the rim around the breast that may be faint skin: 4.6 mm on the largest detectors."""
LIFTED = greyscale.TOP / 1024
"""A background up to this brightness (a quarter of an 8-bit step) already counts as black."""
NOISE = greyscale.TOP / 50
"""Largest distance that scanner noise may move a pixel of the background from the background's brightness."""
EVEN = 0.9
"""Share of the air that must lie within NOISE; the rest may be labels. Fat that fills a corner reaches at most 0.75."""
LEAST_AIR = 0.01
"""Smallest share of the image that counts as air."""
UNPADDED = 0.1
"""Smallest share of the area beside the breast that must be free of padding; less than that is labels on padding."""
PADDING_IN_BREAST = 0.005
"""A declared padding value that covers more than this share of the breast is wrong: it is tissue."""
AT_BORDER = 0.01
"""Padding lies outside the imaged field, so it makes up more than this share of the image's border."""


@dataclass(frozen=True)
class Breast:
    """The breast's ``mask`` on the coarse grid of the overview, with one stored value (16-bit pattern) per block.

    ``block``: side of a block in pixels of the image. ``is_dark``: the breast is darker than the air.
    ``frame``: the blocks of a white collimator, if its frame would be taken for the breast.
    """

    mask: NDArray[np.bool_]
    stored: NDArray[np.uint16]
    block: int
    frame: NDArray[np.bool_]
    is_dark: bool = False

    @classmethod
    def find(cls, patterns: NDArray[np.uint16], curve: Curve, plain: Curve) -> Breast:
        """Find the largest bright region of ``patterns`` (h,w), as ``curve`` displays them; the largest dark one where
        the air is bright in ``plain``, which is linear in the stored values."""
        small, block = overview(patterns, curve.astype(np.float32))
        stored = patterns[::block, ::block][: small.shape[0], : small.shape[1]]
        sample = plain[stored].astype(np.float32)
        is_dark = is_air_bright(sample)
        small = np.float32(greyscale.TOP) - small if is_dark else small
        mask, frame = breast_mask(small), white_frame(sample)
        if is_dark or np.count_nonzero(mask & frame) < FRAME * np.count_nonzero(mask) or not mask.any():
            frame[:] = False
        else:
            mask = breast_mask(np.where(frame, small[~frame].min(), small))
        return cls(mask, stored, block, frame, is_dark)

    def bright(self, plain: Curve) -> Curve:
        """Return ``plain`` in the direction in which this breast is bright."""
        return greyscale.TOP - plain if self.is_dark else plain

    def holds(self, padding: NDArray[np.intp], orientation: Orientation) -> bool:
        """Return whether ``padding`` is so common inside the breast that it is tissue, whatever the header says."""
        inside = self.stored[enclosed(self.mask, orientation.flip_h)]
        return int(np.isin(inside, padding).sum()) > PADDING_IN_BREAST * inside.size

    def encloses(self, padding: NDArray[np.intp], patterns: NDArray[np.uint16], orientation: Orientation) -> bool:
        """Return whether ``padding`` is in the breast, but not at the border of the image: then it is tissue."""
        border = np.concatenate([patterns[0], patterns[-1], patterns[:, 0], patterns[:, -1]])
        if not padding.size or np.isin(border, padding).mean() > AT_BORDER:
            return False
        inside, places = enclosed(self.mask, orientation.flip_h), np.nonzero(np.isin(patterns, padding))
        row, col = (np.minimum(at // self.block, side - 1) for at, side in zip(places, inside.shape, strict=True))
        return bool(inside[row, col].any())

    def region(self, shape: tuple[int, int], orientation: Orientation) -> Region | None:
        """Return the rectangle of the canonical image (h,w) that contains the breast; None when no breast was found.

        It starts at the chest wall and includes some background on the other three sides.
        """
        if not self.mask.any():
            return None
        height, width = shape
        rows = _extent(np.any(self.mask, axis=1, keepdims=True)[:, 0], self.block, height)
        cols = _extent(np.any(self.mask, axis=0, keepdims=True)[0], self.block, width)
        top, bottom = (height - rows[1], height - rows[0]) if orientation.flip_v else rows
        return top, bottom, 0, width - cols[0] if orientation.flip_h else cols[1]

    def surroundings(self, shape: tuple[int, ...], orientation: Orientation) -> NDArray[np.bool_]:
        """Mark the pixels of the image (h,w) that are surely not breast."""
        grown = ndimage.distance_transform_edt(~enclosed(self.mask, orientation.flip_h)) <= SKIN
        rows, cols = within_margins(grown.shape)
        # The breast is not searched for in the margins: there, the mask at their inner edge is continued.
        margins = [(part.start, size - part.stop) for part, size in zip((rows, cols), grown.shape, strict=True)]
        whole = np.pad(grown[rows, cols], margins, mode="edge")
        row, col = (
            np.minimum(np.arange(side) // self.block, n - 1) for side, n in zip(shape, whole.shape, strict=True)
        )
        return ~whole[np.ix_(row, col)]


def _extent(filled: NDArray[np.bool_], block: int, side: int) -> tuple[int, int]:
    """Return the first pixel of the filled blocks along one side, and the one after the last, widened by SKIN blocks.

    Where the blocks reach the margin, in which the breast is not searched for, the range extends to the border.
    """
    (within,), places = within_margins(filled.shape), np.flatnonzero(filled)
    first, beyond = int(places[0]), int(places[-1]) + 1
    begins = 0 if first <= within.start else max(0, first - SKIN) * block
    ends = side if beyond >= within.stop else min(side, (beyond + SKIN) * block)
    return begins, ends


def with_value(curve: Curve, patterns: NDArray[np.intp], brightness: float) -> Curve:
    """Return a copy of ``curve`` with the value ``brightness`` at ``patterns``."""
    changed = curve.copy()
    changed[patterns] = brightness
    return changed


def with_dark_background(
    tones: GreyCurve, padding: NDArray[np.intp], breast: Breast, orientation: Orientation, flags: list[Flag]
) -> Curve:
    """Return the curve with background and padding mapped to 0.

    Windows, LUTs and sigmoids lift the background, and detectors store air above 0. Only a background that is surely
    air is lowered, because a breast that fills the image must not be darkened; otherwise a flag reports it.
    """
    curve, outside = tones.curve, _outside(tones, padding, breast, orientation)
    background = _commonest(breast.stored[outside])
    if breast.is_dark or (_is_bright(curve, background) and _is_even(curve, background, outside, breast)):
        flags.append("bright_background")
    elif background is None or _is_bright(curve, background):
        flags.append("background_unknown")
    elif tones.is_for_display and curve[background] > LIFTED:
        if _is_air(curve, background, outside, padding, breast):
            tones.voi["background"] = round(float(curve[background]), 3)
            curve = greyscale.anchored(curve, background)
        else:
            flags.append("background_unknown")
    return with_value(curve, padding, 0)


def replace_background(
    pixels: NDArray[np.float32],
    tones: GreyCurve,
    curve: Curve,
    padding: NDArray[np.intp],
    breast: Breast,
    orientation: Orientation,
    flags: list[Flag],
) -> NDArray[np.float32]:
    """Replace everything away from the breast, labels included, by the background's brightness.

    ``pixels`` (h,w) are canonical and were made with ``curve``. When breast or background was not found, they are
    returned unchanged and a flag reports it, because tissue must not be erased.
    """
    background = _commonest(breast.stored[_outside(tones, padding, breast, orientation)])
    if not breast.mask.any() or background is None or breast.is_dark or _is_bright(curve, background):
        flags.append("background_not_cleaned")
        return pixels
    surroundings = orientation.canonical(breast.surroundings(pixels.shape, orientation))
    return np.where(surroundings, np.float32(curve[background]), pixels)


def _outside(
    tones: GreyCurve, padding: NDArray[np.intp], breast: Breast, orientation: Orientation
) -> NDArray[np.bool_]:
    """Mark the blocks of the overview in which the background is searched for.

    They lie in the half of the image away from the chest wall, at a distance from breast, frame and bright padding.
    Blocks of dark padding are excluded too, unless nearly all of that area is padding.
    """
    covered = breast.mask | breast.frame | np.isin(breast.stored, padding[tones.curve[padding] > greyscale.TOP / 2])
    outside = _far_half(covered.shape, orientation) & ~ndimage.binary_dilation(covered, iterations=3)
    unpadded: NDArray[np.bool_] = outside & ~np.isin(breast.stored, padding)
    return unpadded if unpadded.sum() > UNPADDED * outside.sum() else outside


def _far_half(shape: tuple[int, ...], orientation: Orientation) -> NDArray[np.bool_]:
    far = np.zeros(shape, bool)
    half = shape[1] // 2
    far[:, slice(None, half) if orientation.flip_h else slice(half, None)] = True
    return far


def _commonest(stored: NDArray[np.uint16]) -> int | None:
    return int(np.bincount(stored).argmax()) if stored.size else None


def _is_bright(curve: Curve, background: int | None) -> bool:
    return background is not None and bool(curve[background] > greyscale.TOP / 2)


def _is_even(curve: Curve, background: int | None, outside: NDArray[np.bool_], breast: Breast) -> bool:
    """Return whether the blocks marked ``outside`` are many, and even up to noise. Tissue is never that even."""
    if background is None or np.count_nonzero(outside) < LEAST_AIR * outside.size:
        return False
    return bool((np.abs(curve[breast.stored[outside]] - curve[background]) <= NOISE).mean() >= EVEN)


def _is_air(
    curve: Curve, background: int, outside: NDArray[np.bool_], padding: NDArray[np.intp], breast: Breast
) -> bool:
    """Return whether the blocks marked ``outside`` are air: even, and the image's darkest."""
    image = curve[breast.stored[~np.isin(breast.stored, padding)]]
    darkest = np.percentile(image, 1) if image.size else curve[background]
    return bool(curve[background] - darkest <= NOISE and _is_even(curve, background, outside, breast))
