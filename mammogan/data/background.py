"""Breast, background and padding of an image: which is which, and the grey curve that makes the last two black."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data import grey
from mammogan.data.flags import Flag
from mammogan.data.grey import Curve, Grey
from mammogan.data.orientation import Orientation, breast_mask, enclosed, overview, within_margins
from mammogan.data.placement import Region

SKIN = 3  # blocks of the overview around the breast, 4.6 mm of the largest detectors: faint skin is no background
LIFTED = grey.TOP / 1024  # a background below that, a quarter of a step of 8 bits, is black
NOISE = grey.TOP / 50  # about the background's brightness, of scanners
EVEN = 0.9  # of the background within NOISE; the rest may be labels. Fat that fills a corner has 0.75 at most
LEAST_AIR = 0.01  # of the image
UNPADDED = 0.1  # of what is beside the breast; less is labels upon the padding
PADDING_IN_BREAST = 0.005  # of the breast: a declared padding value that is more common there is wrong


@dataclass(frozen=True)
class Breast:
    """Where the breast is on the grid of the overview: its ``mask``, and the stored values there (16-bit patterns).

    ``block``: pixels of the image to a side of the grid's squares.
    """

    mask: NDArray[np.bool_]
    stored: NDArray[np.uint16]
    block: int

    @classmethod
    def find(cls, patterns: NDArray[np.uint16], curve: Curve) -> Breast:
        """The largest bright region of ``patterns`` (h,w) as ``curve`` shows them."""
        small, block = overview(patterns, curve.astype(np.float32))
        mask = breast_mask(small)
        return cls(mask, patterns[::block, ::block][: mask.shape[0], : mask.shape[1]], block)

    def holds(self, padding: NDArray[np.intp], way: Orientation) -> bool:
        """Whether ``padding`` is common inside the breast, so that it is tissue whatever the header says."""
        inside = self.stored[enclosed(self.mask, way.flip_h)]
        return int(np.isin(inside, padding).sum()) > PADDING_IN_BREAST * inside.size

    def region(self, shape: tuple[int, int], way: Orientation) -> Region | None:
        """The part of the canonical image (h,w) that the breast is in, from the chest wall on, with some background at
        its other sides; None when no breast was found."""
        if not self.mask.any():
            return None
        height, width = shape
        rows = _extent(np.any(self.mask, axis=1, keepdims=True)[:, 0], self.block, height)
        cols = _extent(np.any(self.mask, axis=0, keepdims=True)[0], self.block, width)
        top, bottom = (height - rows[1], height - rows[0]) if way.flip_v else rows
        return top, bottom, 0, width - cols[0] if way.flip_h else cols[1]

    def surroundings(self, shape: tuple[int, ...], way: Orientation) -> NDArray[np.bool_]:
        """Pixels of the image (h,w) that are surely not breast."""
        grown = ndimage.distance_transform_edt(~enclosed(self.mask, way.flip_h)) <= SKIN
        rows, cols = within_margins(grown.shape)
        # In the margins, where the breast is not looked for, it goes on as at their edge.
        margins = [(part.start, size - part.stop) for part, size in zip((rows, cols), grown.shape, strict=True)]
        whole = np.pad(grown[rows, cols], margins, mode="edge")
        row, col = (
            np.minimum(np.arange(side) // self.block, n - 1) for side, n in zip(shape, whole.shape, strict=True)
        )
        return ~whole[np.ix_(row, col)]


def _extent(filled: NDArray[np.bool_], block: int, side: int) -> tuple[int, int]:
    """First pixel and the one beyond the last of what fills blocks of a side, with SKIN blocks around; all the way to
    the border where it reaches the margin, in which the breast is not looked for."""
    (within,), places = within_margins(filled.shape), np.flatnonzero(filled)
    first, beyond = int(places[0]), int(places[-1]) + 1
    begins = 0 if first <= within.start else max(0, first - SKIN) * block
    ends = side if beyond >= within.stop else min(side, (beyond + SKIN) * block)
    return begins, ends


def with_value(curve: Curve, patterns: NDArray[np.intp], brightness: float) -> Curve:
    """A copy of ``curve`` that is ``brightness`` at ``patterns``."""
    changed = curve.copy()
    changed[patterns] = brightness
    return changed


def with_dark_background(
    tones: Grey, padding: NDArray[np.intp], breast: Breast, way: Orientation, flags: list[Flag]
) -> Curve:
    """The curve with background and padding at 0.

    Windows, LUTs and sigmoids lift the background, and detectors store air above 0. Only what is surely air is brought
    down, and where it is not found, flags say so: a breast that fills the image must not be darkened.
    """
    curve, outside = tones.curve, _outside(tones, padding, breast, way)
    background = _commonest(breast.stored[outside])
    if background is None:
        flags.append("background_unknown")
    elif curve[background] > grey.TOP / 2:
        flags.append("bright_background")
    elif tones.is_for_display and curve[background] > LIFTED:
        if _is_air(curve, background, outside, padding, breast):
            tones.voi["background"] = round(float(curve[background]), 3)
            curve = grey.anchored(curve, background)
        else:
            flags.append("background_unknown")
    return with_value(curve, padding, 0)


def cleaned(
    pixels: NDArray[np.float32],
    tones: Grey,
    curve: Curve,
    padding: NDArray[np.intp],
    breast: Breast,
    way: Orientation,
    flags: list[Flag],
) -> NDArray[np.float32]:
    """Canonical ``pixels`` (h,w), made with ``curve``, with all away from the breast, labels too, as background.

    Where breast or background were not found, nothing is changed and a flag says so: tissue must not be wiped out.
    """
    background = _commonest(breast.stored[_outside(tones, padding, breast, way)])
    if not breast.mask.any() or background is None or curve[background] > grey.TOP / 2:
        flags.append("background_not_cleaned")
        return pixels
    surroundings = way.canonical(breast.surroundings(pixels.shape, way))
    return np.where(surroundings, np.float32(curve[background]), pixels)


def _outside(tones: Grey, padding: NDArray[np.intp], breast: Breast, way: Orientation) -> NDArray[np.bool_]:
    """Where on the overview's grid background is looked for: away from breast and bright padding, in the half far from
    the chest wall, and apart from dark padding too unless that is nearly all that there is."""
    covered = breast.mask | np.isin(breast.stored, padding[tones.curve[padding] > grey.TOP / 2])
    outside = _far_half(covered.shape, way) & ~ndimage.binary_dilation(covered, iterations=3)
    unpadded: NDArray[np.bool_] = outside & ~np.isin(breast.stored, padding)
    return unpadded if unpadded.sum() > UNPADDED * outside.sum() else outside


def _far_half(shape: tuple[int, ...], way: Orientation) -> NDArray[np.bool_]:
    far = np.zeros(shape, bool)
    half = shape[1] // 2
    far[:, slice(None, half) if way.flip_h else slice(half, None)] = True
    return far


def _commonest(stored: NDArray[np.uint16]) -> int | None:
    return int(np.bincount(stored).argmax()) if stored.size else None


def _is_air(
    curve: Curve, background: int, outside: NDArray[np.bool_], padding: NDArray[np.intp], breast: Breast
) -> bool:
    """Whether what is ``outside`` has one brightness but for noise, which tissue has not, is the darkest of the image,
    and is no small part."""
    level = curve[background]
    even = np.abs(curve[breast.stored[outside]] - level) <= NOISE
    image = curve[breast.stored[~np.isin(breast.stored, padding)]]
    darkest = np.percentile(image, 1) if image.size else level
    return bool(
        np.count_nonzero(outside) >= LEAST_AIR * outside.size and even.mean() >= EVEN and level - darkest <= NOISE
    )
