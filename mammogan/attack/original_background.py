"""Decide which generated pixels are saved: only the breast, on the original's air and grey grid, or all as generated.

Saved as generated, an adversarial image gives itself away at a glance, by light in the air and by grey values between
the source's. A reader or a detector that recognises it by these has learned nothing about the lesion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mammogan.attack.config import Background
from mammogan.attack.grey_grid import GreyGrid
from mammogan.models.networks import AIR_PIXEL

Pixels = NDArray[np.uint16]


def breast_of(pixels: Pixels) -> NDArray[np.bool_]:
    """Return which pixels are tissue, not air: ``models.networks.tissue`` for uint16 arrays of any shape."""
    return pixels > AIR_PIXEL * 65535


def with_original_background(original: Pixels, generated: Pixels, background: Background) -> Pixels:
    """Return the pixels to save where ``generated`` was made from ``original``; all uint16 (H,W).

    "original": the original's air is kept bit for bit, and so are the darkest pixels of its breast. The other pixels of
    the breast are the generator's, on the original's grey grid if it has one; where these would be as dark as the
    darkest or darker, the original's stay, since a heap of pixels at one grey would tell. An unchanged pixel keeps its
    value. "as-generated": the generator's pixels everywhere.
    """
    if background == "as-generated":
        return generated
    breast = breast_of(original)
    if not breast.any():
        return original
    darkest = original[breast].min()
    grid = GreyGrid.of(original)
    snapped = grid.snap(generated) if grid else generated
    return np.where((original > darkest) & (snapped > darkest), snapped, original)
