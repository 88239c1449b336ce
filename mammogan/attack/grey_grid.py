"""The grey values that a mammogram's source could have stored: 12 bits stretched to 16, say, leave a grid of them.

A generator knows no grid: its values lie between the grid's, and every one that does gives the image away.
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
"""Different values, besides both ends, below which nothing is said of a grid."""
SMALLEST_STEP = 2
"""Of a grid that is told from values everywhere: 15 bits stretched to 16. Finer ones are left alone."""
SLACK = 0.51
"""Of 65535, as far as a value may lie from an even grid: its rounding, and a little of single precision before it."""
WINDOW = 64
COMB = 0.6
"""Of the different values that as many pixels would have if all values occurred: with fewer, there is a grid."""
NEIGHBOURS = 65
"""Steps whose median is the step of an uneven grid in their middle."""
WIDE = 4
"""Such steps from which on a gap is filled; in a narrower one, the nearer end will do."""


@dataclass(frozen=True)
class GreyGrid:
    """Values that the source could store, rising, uint16. ``even``: they are round(a + b k), as most sources' are."""

    levels: Pixels
    even: bool

    @classmethod
    def of(cls, original: Pixels) -> GreyGrid | None:
        """The grid that all pixels of an original lie on; None where it has none, as after any scaling of the picture.

        Values clipped to 0 or 65535 may lie off it. Where a look-up table or a sigmoid made the steps uneven, the grid
        is the original's own values, with wide gaps filled evenly; that needs enough pixels to tell that values are
        missing, so in small pictures of 14 bits and more such a grid is not found.
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
        """The nearest level of each pixel; of two that are equally near, the lower."""
        between = (self.levels[1:].astype(float) + self.levels[:-1]) / 2
        nearest = self.levels[np.searchsorted(between, np.arange(PATTERNS))]
        snapped: Pixels = nearest[pixels]
        return snapped

    def share_off(self, pixels: Pixels) -> float:
        """The share of ``pixels`` that are no level."""
        off = np.ones(PATTERNS, bool)
        off[self.levels] = False
        return float(off[pixels].mean())


def _even_levels(values: Values) -> Values | None:
    """round(a + b k) from 1 to 65535 with all ``values`` among them; None where no such grid holds them all."""
    steps = np.diff(values)
    if steps.min() < SMALLEST_STEP:
        return None
    place = _places(steps)
    start, step = _line(values, place)
    if np.abs(values - (start + step * place)).max() > SLACK:
        return None
    lowest, highest = min(0, int((1 - start) / step) - 1), max(place[-1], int((TOP - start) / step) + 1)
    exact = start + step * np.arange(lowest, highest + 1)
    levels = np.rint(exact.astype(np.float32)).astype(np.int64)  # in the precision of data.grey.brightness
    levels[place - lowest] = values
    return levels[(levels > 0) & (levels <= TOP)]


def _places(steps: Values) -> Values:
    """Numbers of the levels between which the ``steps`` lie, from 0, if they are those of an even grid."""
    step = steps[steps <= steps.min() + 1].mean()  # rounding makes a step one of two neighbouring whole numbers
    for widest in 2 ** np.arange(13):  # the better it is known, the wider the gaps whose levels can be counted
        counted = np.rint(steps / step)
        used = counted <= widest
        step = steps[used].sum() / counted[used].sum()
    return np.append(0, np.cumsum(np.rint(steps / step))).astype(np.int64)


def _line(values: Values, place: Values) -> tuple[float, float]:
    """a and b of values = round(a + b place): whole steps from 0 to 65535, as all bits have, if these fit; else those
    that miss the values by least. Only exact ones give the levels rightly that the original does not show."""
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
    """Whether far fewer values occur than would if nothing kept the pixels from the others."""
    pixels, found = (part.reshape(-1, WINDOW).sum(1) for part in (counts, counts > 0))
    expected = WINDOW * (1 - (1 - 1 / WINDOW) ** pixels)
    return bool(found.sum() < COMB * expected.sum())


def _uneven_levels(values: Values) -> Values:
    """``values``, with wide gaps filled by steps as wide as those around, and such steps above them up to the top: what
    is filled in is a guess, off the source's values by one or two, but nothing bright is cut off."""
    steps = np.diff(values)
    usual = np.maximum(ndimage.median_filter(steps, NEIGHBOURS, mode="nearest"), 1)
    parts = np.where(steps < WIDE * usual, 1, np.rint(steps / usual))
    place = np.append(0, np.cumsum(parts)).astype(np.int64)
    inside = np.rint(np.interp(np.arange(place[-1] + 1), place, values)).astype(np.int64)
    return np.append(inside, np.arange(values[-1] + usual[-1], TOP, usual[-1]))
