"""Find the grey grid of a mammogram: the values that its source could store, such as 12 bits stretched to 16.

A generator knows no grid. Its values lie between the levels of the grid, and each such value gives the image away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

Pixels = NDArray[np.uint16]
Values = NDArray[np.int64]

PATTERNS = 1 << 16
TOP = PATTERNS - 1
FEWEST = 16
"""With fewer different values than this, not counting 0 and 65535, no grid is looked for."""
SMALLEST_STEP = 2
"""Smallest step of an even grid that can be recognised: 15 bits stretched to 16. Finer grids are ignored."""
SLACK = 0.51
"""Largest distance, in grey values of 65535, of a value from an even grid: rounding, plus a little for single
precision."""
WINDOW = 64
COMB = 0.6
"""There is a grid if fewer different values occur than this share of what is expected when all values are possible."""
NEIGHBOURS = 65
"""Number of steps whose median is the local step of an uneven grid."""
WIDE = 4
"""A gap of an uneven grid is filled if it is at least this many local steps wide; in narrower gaps the nearer end is
used."""


@dataclass(frozen=True)
class GreyGrid:
    """The grey values that the source could store: rising, uint16. ``even``: they are round(a + b k), as for most
    sources."""

    levels: Pixels
    even: bool

    @classmethod
    def of(cls, original: Pixels) -> GreyGrid | None:
        """Find the grid that all pixels of an original lie on. Return None if there is none, as after any resampling.

        Values clipped to 0 or 65535 may lie off the grid. Where a look-up table or a sigmoid made the steps uneven, the
        grid consists of the original's own values, with wide gaps filled evenly. This needs enough pixels to see that
        values are missing, so in small images of 14 bits and more such a grid is not found.
        """
        counts = np.bincount(original.ravel(), minlength=PATTERNS)
        ends = [end for end in (0, TOP) if counts[end]]
        counts[[0, TOP]] = 0
        values = np.flatnonzero(counts)
        if len(values) < FEWEST:
            return None
        even = _even_levels(values)
        levels = even if even is not None else _uneven_levels(values) if _is_comb(counts) else None
        return None if levels is None else cls(np.union1d(levels, ends).astype(np.uint16), even is not None)

    def snap(self, pixels: Pixels) -> Pixels:
        """Round each pixel to the nearest level; of two equally near levels, the lower."""
        between = (self.levels[1:].astype(float) + self.levels[:-1]) / 2
        nearest = self.levels[np.searchsorted(between, np.arange(PATTERNS))]
        snapped: Pixels = nearest[pixels]
        return snapped

    def share_off(self, pixels: Pixels) -> float:
        """Return the share of ``pixels`` whose value is not a level."""
        off = np.ones(PATTERNS, bool)
        off[self.levels] = False
        return float(off[pixels].mean())


def _even_levels(values: Values) -> Values | None:
    """Return the levels round(a + b k) from 1 to 65535 that include all ``values``; None if no such grid fits."""
    steps = np.diff(values)
    if steps.min() < SMALLEST_STEP:
        return None
    place = _places(steps)
    start, step = _line(values, place)
    if np.abs(values - (start + step * place)).max() > SLACK:
        return None
    lowest, highest = min(0, int((1 - start) / step) - 1), max(place[-1], int((TOP - start) / step) + 1)
    exact = start + step * np.arange(lowest, highest + 1)
    levels = np.rint(exact.astype(np.float32)).astype(np.int64)  # the precision of data.dicom.greyscale.brightness
    levels[place - lowest] = values
    return levels[(levels > 0) & (levels <= TOP)]


def _places(steps: Values) -> Values:
    """Return the index k of each value's level, from 0, given the ``steps`` between values, assuming an even grid."""
    step = steps[steps <= steps.min() + 1].mean()  # rounding gives a step one of two adjacent integers
    for widest in 2 ** np.arange(13):  # the better the step is known, the wider the gaps that can be counted
        counted = np.rint(steps / step)
        used = counted <= widest
        step = steps[used].sum() / counted[used].sum()
    return np.append(0, np.cumsum(np.rint(steps / step))).astype(np.int64)


def _line(values: Values, place: Values) -> tuple[float, float]:
    """Return a and b of values = round(a + b place). Steps that divide 0 to 65535 into equal parts, as bits stretched
    to 16 do, are preferred if they fit; otherwise the line with the smallest largest error is used. Only an exact line
    predicts the levels that do not occur in the original."""
    reach, about = 2 / place[-1], float(values[-1] - values[0]) / float(place[-1])
    found = optimize.minimize_scalar(
        lambda b: np.ptp(values - b * place), bounds=(about - reach, about + reach), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    step = float(found.x)
    off = values - step * place
    start = float(off.max() + off.min()) / 2
    whole = TOP / np.rint(TOP / step)
    first = whole * np.rint(start / whole)
    fits = np.abs(values - (first + whole * place)).max() <= SLACK
    return (first, whole) if fits else (start, step)


def _is_comb(counts: Values) -> bool:
    """Return whether far fewer different values occur than random pixels would have if all values were possible."""
    pixels, found = (part.reshape(-1, WINDOW).sum(1) for part in (counts, counts > 0))
    expected = WINDOW * (1 - (1 - 1 / WINDOW) ** pixels)
    return bool(found.sum() < COMB * expected.sum())


def _uneven_levels(values: Values) -> Values:
    """Return ``values`` with wide gaps filled by steps as wide as those around them, and continued above up to the top.
    The filled levels are estimates, one or two off the source's values, but nothing bright is cut off."""
    steps = np.diff(values)
    usual = np.maximum(ndimage.median_filter(steps, NEIGHBOURS, mode="nearest"), 1)
    parts = np.where(steps < WIDE * usual, 1, np.rint(steps / usual))
    place = np.append(0, np.cumsum(parts)).astype(np.int64)
    inside = np.rint(np.interp(np.arange(place[-1] + 1), place, values)).astype(np.int64)
    return np.append(inside, np.arange(values[-1] + usual[-1], TOP, usual[-1]))
