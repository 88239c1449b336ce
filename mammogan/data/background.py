"""Breast, background and padding of an image: which is which, and the grey curve that makes the last two black."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data import grey
from mammogan.data.grey import Curve, Grey
from mammogan.data.orientation import Orientation, breast_mask, enclosed, overview, within_margins
from mammogan.data.placement import Region

SKIN = 3  # blocks of the overview around the breast, 4.6 mm of the largest detectors: faint skin is no background
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
    tones: Grey, padding: NDArray[np.intp], breast: Breast, way: Orientation, flags: list[str]
) -> Curve:
    """The curve with background and padding at 0."""
    curve, background = tones.curve, _background(tones, padding, breast, way)
    if tones.lifts_background and background is not None:
        tones.voi["background"] = round(float(curve[background]), 3)
        curve = grey.anchored(curve, background)
    if background is None or curve[background] > grey.TOP / 2:
        flags.append("background_unknown" if background is None else "bright_background")
    return with_value(curve, padding, 0)


def cleaned(
    pixels: NDArray[np.float32],
    tones: Grey,
    curve: Curve,
    padding: NDArray[np.intp],
    breast: Breast,
    way: Orientation,
    flags: list[str],
) -> NDArray[np.float32]:
    """Canonical ``pixels`` (h,w), made with ``curve``, with all away from the breast, labels too, as background.

    Where breast or background were not found, nothing is changed and a flag says so: tissue must not be wiped out.
    """
    background = _background(tones, padding, breast, way)
    if not breast.mask.any() or background is None or curve[background] > grey.TOP / 2:
        flags.append("background_not_cleaned")
        return pixels
    surroundings = way.canonical(breast.surroundings(pixels.shape, way))
    return np.where(surroundings, np.float32(curve[background]), pixels)


def _background(tones: Grey, padding: NDArray[np.intp], breast: Breast, way: Orientation) -> int | None:
    """The commonest stored value away from breast and bright padding, in the half far from the chest wall."""
    covered = breast.mask | np.isin(breast.stored, padding[tones.curve[padding] > grey.TOP / 2])
    far = np.zeros(covered.shape, bool)
    half = covered.shape[1] // 2
    far[:, slice(None, half) if way.flip_h else slice(half, None)] = True
    outside = far & ~ndimage.binary_dilation(covered, iterations=3)
    return int(np.bincount(breast.stored[outside]).argmax()) if outside.any() else None
