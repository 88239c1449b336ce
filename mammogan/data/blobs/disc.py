"""Locate a change in a mammogram by the disc that contains most of its energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from mammogan.data.blobs.blob_detector import averaged, pooling

Floats = NDArray[np.float64]
NEAR = 1.5
"""A change is near a lesion within this many lesion radii of its centre, and a disc of this radius, in lesion radii,
must contain most of a compact change."""


def best_disc(energy: NDArray[Any], spacing: Sequence[float], radius: float) -> tuple[float, tuple[float, float]]:
    """Return the largest share of ``energy`` in any disc of ``radius``, and its centre (row, column) in pixels.

    ``energy`` (h,w) must not be negative. ``spacing`` is the size of a pixel (y, x) in mm, and ``radius`` is in mm too;
    pixels finer than 1 mm are first combined into cells of up to 1 mm. If there is no energy, the share is 0.
    """
    total = float(energy.sum())
    if not total:
        return 0.0, (0.0, 0.0)
    cell = pooling(spacing)
    coarse = averaged(energy / total, cell).astype(float)
    coarse /= coarse.sum()
    within = fftconvolve(coarse, _disc([mm * n for mm, n in zip(spacing, cell, strict=True)], radius), mode="same")
    row, column = np.unravel_index(int(within.argmax()), within.shape)
    centre = tuple(float(at * n + (n - 1) / 2) for at, n in zip((row, column), cell, strict=True))
    return float(min(within[row, column], 1.0)), (centre[0], centre[1])


def _disc(sides: Sequence[float], radius: float) -> Floats:
    """Return an array with odd sides and a disc of ones in its middle."""
    reach = [int(radius / side) for side in sides]
    rows, columns = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    return (np.hypot(rows * sides[0], columns * sides[1]) <= radius).astype(float)
