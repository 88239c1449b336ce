"""Which difference between two sessions a cell of Table 3 could show at all."""

from __future__ import annotations

import functools

import numpy as np
from scipy.stats import binom, hypergeom

LEVEL, WANTED = 0.05, 0.8


@functools.lru_cache(maxsize=512)
def power(first: int, second: int, change: float, base: float = 0.5) -> float:
    """Return the probability that Fisher's two-sided test sees a change, exactly.

    ``first`` and ``second`` are the numbers of images, ``base`` the true share in the first session, ``change`` what
    is added to it in the second.
    """
    rejects = _rejections(first, second)
    of_first = binom.pmf(np.arange(first + 1), first, base)
    of_second = binom.pmf(np.arange(second + 1), second, base + change)
    return float(of_first @ rejects @ of_second)


@functools.lru_cache(maxsize=32)
def _rejections(first: int, second: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return for each pair of counts whether Fisher's p is below .05, (first + 1, second + 1)."""
    rejects = np.zeros((first + 1, second + 1))
    for total in range(first + second + 1):
        a = np.arange(max(0, total - second), min(first, total) + 1)
        chances = hypergeom.pmf(a, first + second, total, first)
        p = np.array([chances[chances <= chance * (1 + 1e-7)].sum() for chance in chances])
        rejects[a, total - a] = p < LEVEL
    return rejects


def smallest_visible_change(first: int, second: int, base: float = 0.5) -> float | None:
    """Return the smallest rise from ``base``, in steps of .01, that is seen with a probability of 80%.

    None if not even the largest possible rise is.
    """
    if not (first and second):
        return None
    for hundredths in range(1, round(100 * (1 - base)) + 1):
        if power(first, second, hundredths / 100, base) >= WANTED:
            return hundredths / 100
    return None
