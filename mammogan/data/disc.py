"""Where a change lies: the disc that holds most of its energy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve


def best_disc(energy: NDArray[Any], radius: float) -> tuple[float, tuple[int, int]]:
    """Largest share of ``energy`` (h,w), at least 0, within a disc of ``radius`` pixels, and its centre (row, column).

    The share is 0 where there is no energy.
    """
    reach = int(np.ceil(radius))
    line = np.arange(-reach, reach + 1)
    disc = (np.hypot(line[:, None], line) <= radius).astype(np.float32)
    sums = fftconvolve(energy, disc, mode="same")
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    total = float(energy.sum())
    return (float(sums[row, column]) / total if total else 0.0), (int(row), int(column))
