"""Breast, background and padding of an image: which is which, and the grey curve that makes the last two black."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data import grey
from mammogan.data.grey import Curve, Grey
from mammogan.data.orientation import Orientation, breast_mask, enclosed, overview

PADDING_IN_BREAST = 0.005  # of the breast: a declared padding value that is more common there is wrong


@dataclass(frozen=True)
class Breast:
    """Where the breast is on the grid of the overview: its ``mask``, and the stored values there (16-bit patterns)."""

    mask: NDArray[np.bool_]
    stored: NDArray[np.uint16]

    @classmethod
    def find(cls, patterns: NDArray[np.uint16], curve: Curve) -> Breast:
        """The largest bright region of ``patterns`` (h,w) as ``curve`` shows them."""
        small, block = overview(curve.astype(np.float32)[patterns])
        mask = breast_mask(small)
        return cls(mask, patterns[::block, ::block][: mask.shape[0], : mask.shape[1]])

    def holds(self, padding: NDArray[np.intp], way: Orientation) -> bool:
        """Whether ``padding`` is common inside the breast, so that it is tissue whatever the header says."""
        inside = self.stored[enclosed(self.mask, way.flip_h)]
        return int(np.isin(inside, padding).sum()) > PADDING_IN_BREAST * inside.size


def with_value(curve: Curve, patterns: NDArray[np.intp], brightness: float) -> Curve:
    """A copy of ``curve`` that is ``brightness`` at ``patterns``."""
    changed = curve.copy()
    changed[patterns] = brightness
    return changed


def with_dark_background(
    tones: Grey, padding: NDArray[np.intp], breast: Breast, way: Orientation, flags: list[str]
) -> Curve:
    """The curve with background and padding at 0."""
    curve = tones.curve
    bright_padding = np.isin(breast.stored, padding[curve[padding] > grey.TOP / 2])
    background = _background(breast.stored, breast.mask | bright_padding, way)
    if tones.lifts_background and background is not None:
        tones.voi["background"] = round(float(curve[background]), 3)
        curve = grey.anchored(curve, background)
    if background is None or curve[background] > grey.TOP / 2:
        flags.append("background_unknown" if background is None else "bright_background")
    return with_value(curve, padding, 0)


def _background(stored: NDArray[np.uint16], covered: NDArray[np.bool_], way: Orientation) -> int | None:
    """The commonest stored value away from what is covered, in the half far from the chest wall."""
    far = np.zeros(covered.shape, bool)
    half = covered.shape[1] // 2
    far[:, slice(None, half) if way.flip_h else slice(half, None)] = True
    outside = far & ~ndimage.binary_dilation(covered, iterations=3)
    return int(np.bincount(stored[outside]).argmax()) if outside.any() else None
