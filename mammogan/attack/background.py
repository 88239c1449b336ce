"""What is saved of a generator's output: its breast on the original's air and grey grid, or all of it as it is.

As generated, light in the air and grey values between the source's tell an adversarial image at a glance; a reader or a
detector of fakes that sees that has learned nothing of the lesion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mammogan.attack.grey_grid import GreyGrid
from mammogan.attack.settings import Background
from mammogan.models.networks import AIR

Pixels = NDArray[np.uint16]


def breast_of(pixels: Pixels) -> NDArray[np.bool_]:
    """Where there is tissue, not air: ``models.networks.tissue`` for uint16 arrays, of any shape."""
    return pixels > AIR * 65535


def as_saved(original: Pixels, generated: Pixels, background: Background) -> Pixels:
    """What is saved where ``generated`` was made of ``original``; all uint16 of one shape, (H,W).

    "original": the original's air stays bit for bit, and so do its darkest pixels of the breast; the breast's other
    pixels are the generator's, never darker than those, on the original's grey grid where it has one. A pixel that was
    not changed stays what it is. "as-generated": the generator's, everywhere.
    """
    if background == "as-generated":
        return generated
    breast = breast_of(original)
    if not breast.any():
        return original
    darkest = original[breast].min()
    altered = np.maximum(generated, darkest)
    grid = GreyGrid.of(original)
    return np.where(original > darkest, grid.snap(altered) if grid else altered, original)
