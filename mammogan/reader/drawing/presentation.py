"""Decide which pixels the readers see: one function for original and adversarial images, one window for all.

What tells the two apart outside the breast (light in the air, another black) says nothing about the attack, and readers
would find it within minutes. So the air of an adversarial image is its original's, unless the paper's way is requested.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mammogan.attack.config import Background
from mammogan.attack.original_background import with_original_background
from mammogan.reader.plan import MIDDLE, Outline, Window

Pixels = NDArray[np.uint16]
Counts = NDArray[np.int64]
GREYS = 1 << 16
WHITE_QUANTILE = 0.995
DIFFERENCE_QUANTILE = 0.999
OUTLINE_SHARE, OUTLINE_MARGIN = 0.5, 1.3
"""A circle is drawn around the pixels that changed by this share of the largest change, with this margin."""


def present(pixels: Pixels, original: Pixels, background: Background) -> Pixels:
    """Return the pixels of an image as the readers see them, uint16 (H,W).

    ``pixels`` is an original or its adversarial image, ``original`` the original of either: for an original, both are
    the same, and it comes back unchanged. "original" gives the image the air, the darkest greys and the grey grid of
    ``original``; "as-generated" changes nothing.
    """
    return with_original_background(original, pixels, background)


def difference(original: Pixels, adversarial: Pixels) -> Pixels:
    """Return MIDDLE + original - adversarial, clipped to uint16: the sign of the paper's triplets."""
    signed = original.astype(np.int32) - adversarial + MIDDLE
    return np.clip(signed, 0, GREYS - 1).astype(np.uint16)


def greys(pixels: Pixels) -> Counts:
    """Count the pixels of each grey value, int64 (65536,)."""
    return np.bincount(pixels.ravel(), minlength=GREYS)


def default_window(originals: Counts) -> Window:
    """Return the window from 0 to the 99.5% quantile of the grey values, given their counts over all originals."""
    return Window(0, max(1, _quantile(originals, WHITE_QUANTILE)))


def difference_scale(differences: Counts) -> int:
    """Return the grey value that 99.9% of the changes stay below, at least 1, given counts of difference images."""
    sizes = np.abs(np.arange(GREYS) - MIDDLE)
    return max(1, _quantile(np.bincount(sizes, weights=differences, minlength=GREYS), DIFFERENCE_QUANTILE))


def outline(shown: Pixels) -> Outline | None:
    """Return a circle around the strongest changes in a difference image; None if nothing was changed."""
    change = np.abs(shown.astype(np.int32) - MIDDLE)
    if not change.any():
        return None
    rows, columns = np.nonzero(change >= OUTLINE_SHARE * change.max())
    y, x = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    radius = float(np.hypot(rows - y, columns - x).max())
    return Outline(float(x), float(y), OUTLINE_MARGIN * max(radius, max(shown.shape) / 64))


def raw(pixels: Pixels) -> bytes:
    """Return an image as the folder stores it: little-endian uint16, row by row."""
    return np.ascontiguousarray(pixels, "<u2").tobytes()


def _quantile(counts: NDArray[np.generic], share: float) -> int:
    """Return the smallest grey value that at least this share of the pixels does not exceed."""
    below = np.cumsum(counts, dtype=float)
    return int(np.searchsorted(below, share * below[-1]))
