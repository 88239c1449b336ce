"""Figures with 95% percentile intervals from resampled patients.

A patient's mammograms stand or fall together, so patients are drawn, never images. Figures over the same patients share
the same draws; an AUC of altered mammograms has draws of its own where not every patient has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEVEL = 0.95
MOST_UNDEFINED = 0.05
"""Share of the draws that may leave a figure undefined (an empty denominator, one class) before its interval is n/a."""
DRAWS_AT_ONCE = 256


@dataclass(frozen=True)
class Figure:
    """One number in [0,1] with its interval. What is None is explained by ``reason`` or ``interval_reason``."""

    value: float | None
    low: float | None = None
    high: float | None = None
    numerator: int | None = None
    """Counts, of a share; None for an AUC."""
    denominator: int | None = None
    reason: str = ""
    """Why there is no value."""
    interval_reason: str = ""
    """Why there is no interval, or why it says less than it seems to."""


class PatientBootstrap:
    """Draws of patients with replacement, as counts of shape (draws, patients).

    ``patients`` names the patient of each image; patients are numbered as they first appear, so that the draws do not
    depend on how they are called.
    """

    def __init__(self, patients: Sequence[str], draws: int = 2000, seed: int = 0) -> None:
        number = {name: i for i, name in enumerate(dict.fromkeys(patients))}
        self.patient = np.array([number[name] for name in patients], dtype=np.intp)
        self.patients = len(number)
        even = np.full(self.patients, 1 / max(self.patients, 1))
        self.counts = np.random.default_rng(seed).multinomial(self.patients, even, size=draws)

    def share(self, hit: Bools, among: Bools, nobody: str) -> Figure:
        """Images with ``hit`` among those with ``among``; ``nobody`` is the reason given when there are none."""
        numerator, denominator = int((hit & among).sum()), int(among.sum())
        if denominator == 0:
            return Figure(None, numerator=0, denominator=0, reason=nobody)
        above = self.counts @ self._per_patient(hit & among)
        below = self.counts @ self._per_patient(among)
        low, high, reason = self._interval(above, below, "hold such an image")
        if not reason and numerator in (0, denominator):
            reason = "every image had the same outcome, so resampling cannot show the uncertainty"
        return Figure(numerator / denominator, low, high, numerator, denominator, interval_reason=reason)

    def auc(self, positive: Bools, score: Floats) -> Figure:
        """Area under the ROC curve; ties count half."""
        if positive.all() or not positive.any():
            found = "no images" if not len(positive) else f"only {'positive' if positive.all() else 'negative'} images"
            return Figure(None, reason=f"{found}: an AUC needs both classes")
        value = weighted_auc(positive, score, np.ones((1, len(score))))[0]
        pieces = [
            weighted_auc(positive, score, self.counts[i : i + DRAWS_AT_ONCE, self.patient].astype(np.float64))
            for i in range(0, len(self.counts), DRAWS_AT_ONCE)
        ]
        areas = np.concatenate(pieces)
        defined = ~np.isnan(areas)
        low, high, reason = self._interval(np.where(defined, areas, 0), defined.astype(float), "hold both classes")
        return Figure(float(value), low, high, interval_reason=reason)

    def _per_patient(self, images: Bools) -> Floats:
        return np.bincount(self.patient, weights=images, minlength=self.patients).astype(np.float64)

    def _interval(self, above: Floats, below: Floats, needed: str) -> tuple[float | None, float | None, str]:
        if self.patients < 2:
            return None, None, "one patient: nothing to resample"
        defined = below > 0
        if defined.mean() < 1 - MOST_UNDEFINED:
            return None, None, f"too few patients: only {defined.sum()} of {len(defined)} resamples {needed}"
        edges = (1 - LEVEL) / 2, (1 + LEVEL) / 2
        low, high = np.quantile(above[defined] / below[defined], edges)
        return float(low), float(high), ""


def weighted_auc(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """AUC of the same images under each row of ``weights`` (draws, images); NaN where a row lacks a class.

    The share of (positive, negative) pairs that are in order, a tied pair counting half, each pair weighing the
    product of its images' weights.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))  # where a new score begins
    ordered = weights[:, order]
    right = np.add.reduceat(ordered * positive[order], starts, axis=1)
    wrong = np.add.reduceat(ordered * ~positive[order], starts, axis=1)
    below = np.cumsum(wrong, axis=1) - wrong / 2
    pairs = right.sum(1) * wrong.sum(1)
    with np.errstate(invalid="ignore"):
        return np.where(pairs > 0, (right * below).sum(1) / pairs, np.nan)
