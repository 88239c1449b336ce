"""Compute figures with 95% percentile intervals by resampling patients, and say when a share is printed as counts.

The outcomes of one patient's mammograms depend on each other, so patients are drawn, never images. Figures over the
same patients share the same draws; the AUC of adversarial mammograms has separate draws if some patients have none.
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
"""Largest share of the draws that may leave a figure undefined (an empty denominator, only one class); above it, the
interval is n/a."""
DRAWS_AT_ONCE = 256
FEWEST_PATIENTS = 10
"""Over fewer patients a percentage says more than is known: a share is then printed as counts."""


@dataclass(frozen=True)
class Figure:
    """One number in [0,1] with its interval. If one of them is None, ``reason`` or ``interval_reason`` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    numerator: int | None = None
    """Counts of a share, with ``denominator``; None for an AUC."""
    denominator: int | None = None
    reason: str = ""
    """Why there is no value."""
    interval_reason: str = ""
    """Why there is no interval, or why it understates the uncertainty."""
    patients: int | None = None
    """Number of patients whose images the denominator counts; None if it was not counted."""

    @property
    def of_few_patients(self) -> bool:
        """Whether it is a share over so few patients that only its counts are printed."""
        return self.denominator is not None and self.patients is not None and self.patients < FEWEST_PATIENTS


class PatientBootstrap:
    """Draws of patients with replacement, as counts of shape (draws, patients).

    ``patients`` gives the patient of each image. Patients are numbered in order of first appearance, so the draws do
    not depend on their names.
    """

    def __init__(self, patients: Sequence[str], draws: int = 2000, seed: int = 0) -> None:
        number = {name: i for i, name in enumerate(dict.fromkeys(patients))}
        self.patient = np.array([number[name] for name in patients], dtype=np.intp)
        self.patients = len(number)
        even = np.full(self.patients, 1 / max(self.patients, 1))
        self.counts = np.random.default_rng(seed).multinomial(self.patients, even, size=draws)

    def share(self, counted: Bools, among: Bools, why_empty: str) -> Figure:
        """Return the share of images with ``counted`` among those with ``among``; ``why_empty`` is the reason if there
        are none."""
        numerator, denominator = int((counted & among).sum()), int(among.sum())
        if denominator == 0:
            return Figure(None, numerator=0, denominator=0, reason=why_empty, patients=0)
        above = self.counts @ self._per_patient(counted & among)
        below = self.counts @ self._per_patient(among)
        low, high, reason = self._interval(above, below, "hold such an image")
        if not reason and numerator in (0, denominator):
            reason = "every image had the same outcome, so resampling cannot show the uncertainty"
        patients = int((self._per_patient(among) > 0).sum())
        value = numerator / denominator
        return Figure(value, low, high, numerator, denominator, interval_reason=reason, patients=patients)

    def auc(self, positive: Bools, score: Floats) -> Figure:
        """Return the area under the ROC curve; tied pairs count one half."""
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
    """Return the AUC of the same images under each row of ``weights`` (draws, images); NaN where a row lacks a class.

    It is the share of (positive, negative) pairs in the right order, a tied pair counting one half. A pair's weight is
    the product of its images' weights.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))  # first image of each distinct score
    ordered = weights[:, order]
    right = np.add.reduceat(ordered * positive[order], starts, axis=1)
    wrong = np.add.reduceat(ordered * ~positive[order], starts, axis=1)
    below = np.cumsum(wrong, axis=1) - wrong / 2
    pairs = right.sum(1) * wrong.sum(1)
    with np.errstate(invalid="ignore"):
        return np.where(pairs > 0, (right * below).sum(1) / pairs, np.nan)
