"""Check the grey scale of the result: a wrong window or rescale can leave a breast without anything to see in it.

The region of the breast is searched for in the stored numbers, because a ruined scale hides it. Numbers that wrapped
around at the end of their range, as of a wrong sign, or whose bytes were swapped, show in jumps that tissue never has.
Rows that do not belong together, as where every other row was lost, or where Rows and Columns were exchanged, differ
far more than neighbours in a row do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data.dicom.background import Breast
from mammogan.data.dicom.collimator import white_frame
from mammogan.data.dicom.flags import Flag
from mammogan.data.dicom.greyscale import PATTERNS, TOP, Curve
from mammogan.data.dicom.orientation import breast_mask
from mammogan.data.dicom.unusable import Unusable

EDGE = TOP / 500
"""Brightness this close to an end of the scale counts as white, or as black."""
MUCH_WHITE, MUCH_BLACK, ALL, BOTH = 0.4, 0.5, 0.9, 0.98
"""Shares of the breast: more white (or of one grey value) or more black than that is flagged; more than ALL, or than
BOTH together, is left out. An implant may be white, and a narrow window may make fat black."""
DARK, DARKEST = TOP / 8, TOP / 64
"""When 99% of the breast are darker than this, it is flagged; darker than DARKEST, left out."""
NARROW, NARROWEST = 1 / 20, 1 / 50
"""When half of the breast lie within this share of its brightest, it is flagged; 90% within NARROWEST, it is left out:
the sensor was saturated, or the scale has no room for it. In films and phantoms, half of a breast take up a sixth or
more, 90% more than a third."""
FEW_LEVELS = 16
"""Fewer different grey values in a breast are flagged."""
JUMP = 3 / 4
"""Neighbouring pixels of tissue do not differ by more than this share of what the breast is at its brightest; the
border of a clip or of a label does."""
SOME_JUMPS, MANY_JUMPS = 0.008, 0.04
"""Shares of neighbours in the breast that differ by more than JUMP: flagged; left out if the stored numbers do.
Noise and steep LUTs reach 0.007, so numbers that wrapped around in few places are not seen."""
LOPSIDED, SOME_TEAR, MUCH_TEAR = 3, 1 / 16, 1 / 5
"""If neighbours differ this many times as much in one direction as in the other, and by more than these shares of the
breast's brightest in the mean, rows or columns do not belong together: flagged; left out. In films, phantoms and
images whose lines were repeated, either holds at most in part: the shares reach 1/20."""


@dataclass(frozen=True)
class Tones:
    """How the pixels of the breast are distributed over the scale: shares, a brightness in [0,65535], and a number.

    ``jumps``, ``stored_jumps``: share of the pairs of neighbours that differ by more than JUMP, in the result and in
    the stored numbers.
    """

    white: float
    black: float
    flat: float
    """Share with the most frequent value that is not black: a sensor or a program cut off all that was brighter."""
    brightest: float
    half: float
    """Range of brightness of the middle half of the breast, as a share of its brightest."""
    nearly_all: float
    """The same for the middle 90%."""
    levels: int
    jumps: float
    stored_jumps: float
    tear: float
    """Mean difference of neighbours in the stored numbers, as a share of the brightest, in the direction in which it is
    larger; 0 if it is much the same in both directions."""

    @property
    def faults(self) -> list[str]:
        """What is wrong beyond the limits, in words; empty when the mammogram can be used."""
        found = {
            f"{self.white:.0%} of the breast are white": self.white > ALL,
            f"{self.black:.0%} of the breast are black": self.black > ALL,
            f"{self.flat:.0%} of the breast have one grey value": self.flat > ALL >= self.white,
            f"90% of the breast lie within {self.nearly_all:.1%} of its brightest": (
                self.nearly_all < NARROWEST and max(self.white, self.black, self.flat) <= ALL
            ),
            f"{self.white + self.black:.0%} of the breast are white or black": self.white + self.black > BOTH,
            f"{self.stored_jumps:.0%} of stored neighbours in the breast differ by most of the range": (
                self.stored_jumps > MANY_JUMPS
            ),
            f"neighbours in one direction differ by {self.tear:.0%} of the brightest, far more than in the other": (
                self.tear > MUCH_TEAR
            ),
            f"the breast is darker than {self.brightest / TOP:.1%} of the scale": self.brightest < DARKEST,
        }
        return [fault for fault, holds in found.items() if holds]

    @property
    def are_doubtful(self) -> bool:
        """Whether the grey scale deserves a look."""
        too_much = max(self.white, self.flat) > MUCH_WHITE or self.black > MUCH_BLACK
        return (
            too_much
            or self.half < NARROW
            or self.brightest < DARK
            or self.levels < FEW_LEVELS
            or self.jumps > SOME_JUMPS
            or self.tear > SOME_TEAR
        )


def check_grey_scale(
    curve: Curve, plain: Curve, patterns: NDArray[np.uint16], padding: NDArray[np.intp], breast: Breast
) -> list[Flag]:
    """Return the flag for a doubtful grey scale, if it is. Raises Unusable for a ruined one.

    ``curve`` made the result from ``patterns`` (h,w); ``plain`` is linear in the stored values.
    """
    tones = _tones(curve, plain, patterns, padding, breast)
    if tones is None:
        return []
    if tones.faults:
        raise Unusable("grey_scale_ruined", "; ".join(tones.faults))
    return ["grey_scale_doubtful"] if tones.are_doubtful else []


def covers_tissue(padding: NDArray[np.intp], plain: Curve, patterns: NDArray[np.uint16], block: int) -> bool:
    """Return whether a range of padding values covers a breast: much of it, in many different values."""
    sample = patterns[::block, ::block]
    inside = sample[breast_mask(plain[sample].astype(np.float32))]
    covered = inside[np.isin(inside, padding)]
    return covered.size > 0.2 * inside.size and np.unique(covered).size > FEW_LEVELS


def _tones(
    curve: Curve, plain: Curve, patterns: NDArray[np.uint16], padding: NDArray[np.intp], breast: Breast
) -> Tones | None:
    """Measure two neighbouring rows of each block; None when there is no breast."""
    stored = plain.copy()
    stored[padding] = stored[np.setdiff1d(breast.stored, padding)].min(initial=TOP)
    pairs = _pairs_of_rows(patterns, breast)
    mask = _region(stored, pairs, breast)
    if not mask.any():
        return None
    inside = np.repeat(mask, breast.block, axis=1)
    values = pairs[:, inside].ravel()
    counts = np.bincount(values, minlength=PATTERNS)
    used = np.flatnonzero(counts)
    shown, weights = curve[used], counts[used] / len(values)
    order = np.argsort(shown)
    below = np.searchsorted(np.cumsum(weights[order]), (0.05, 0.25, 0.75, 0.95, 0.99)).clip(max=len(order) - 1)
    low, lower, upper, high, brightest = (float(shown[order][at]) for at in below)
    half, nearly_all = ((end - start) / max(brightest, 1.0) for start, end in ((lower, upper), (low, high)))
    white, black = weights[shown >= TOP - EDGE].sum(), weights[shown <= EDGE].sum()
    flat = weights[shown > EDGE].max(initial=0)
    levels = len(np.unique(np.rint(shown)))
    # Without the skin at top and bottom, beside which one row of a pair may be air.
    within = np.repeat(ndimage.binary_erosion(mask, np.ones((3, 1), bool)), breast.block, axis=1)
    (jumps, _), (stored_jumps, tear) = (_differences(one[pairs], within) for one in (curve, plain))
    shares = float(white), float(black), float(flat)
    return Tones(*shares, brightest, half, nearly_all, levels, jumps, stored_jumps, tear)


def _pairs_of_rows(patterns: NDArray[np.uint16], breast: Breast) -> NDArray[np.uint16]:
    """Return two neighbouring rows of each row of blocks, (2,n,w), anywhere in it: so no pattern of rows is missed."""
    blocks = np.arange(breast.mask.shape[0])
    within = np.random.default_rng(0).integers(breast.block, size=blocks.size)
    first = np.minimum(blocks * breast.block + within, len(patterns) - 2)
    return patterns[np.stack([first, first + 1]), : breast.mask.shape[1] * breast.block]


def _region(stored: Curve, pairs: NDArray[np.uint16], breast: Breast) -> NDArray[np.bool_]:
    """Return the blocks in which the brighter of the rows shows a breast, since the other may have been lost."""
    samples = stored[pairs[:, :, :: breast.block]].astype(np.float32)
    if breast.frame.any():
        for sample in samples:
            sample[white_frame(sample)] = sample.min()
    return breast_mask(samples.max(axis=0))


def _differences(pairs: Curve, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Compare neighbours ``inside``, beside and below each other: return which share differs by more than JUMP, and the
    larger mean difference of the two directions, as a share of the brightest; 0 if it is not LOPSIDED."""
    if not inside.any():
        return 0.0, 0.0
    brightest = max(float(np.quantile(pairs[:, inside], 0.99)), 1.0)
    beside = np.abs(np.diff(pairs, axis=2))[:, inside[:, 1:] & inside[:, :-1]]
    below = np.abs(np.diff(pairs, axis=0))[:, inside]
    directions = [one.ravel() / brightest for one in (beside, below) if one.size]
    jumps = float((np.concatenate(directions) > JUMP).mean())
    less, more = (pick(float(one.mean()) for one in directions) for pick in (min, max))
    return jumps, more if more > LOPSIDED * less else 0.0
