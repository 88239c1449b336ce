"""Intervals and tests that count the mammograms of one patient as alike, by formula instead of resampling.

Percentile intervals of a share are too short near 0 and 100% with few patients; Wilson's interval on the effective
number of images is not. An AUC's interval by its logit stays below 1. Two AUCs of the same patients are compared by
DeLong's test for clustered data (Obuchowski 1997).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from mammogan.statistics.figure import Bools, Figure, Floats

Z95 = float(norm.ppf(0.975))


ENOUGH = 4
"""Patients with the rarer outcome at which what they show of agreement weighs as much as complete agreement."""


def design_effect(hits: Bools | Floats, patients: Sequence[str]) -> float:
    """Return how many images tell as much of a share as one independent image: 1, or more if a patient's images agree.

    ``hits`` (n,) are outcomes, 0, 1 or anything between. The variance over patients shows how much their images agree.
    The fewer patients have the rarer outcome, the less it shows, and the more weight has complete agreement, whose
    effect is the sum of the squared numbers of images over n (Kish). Else a share of 99% would have a narrower interval
    than one of 100%.
    """
    n = len(hits)
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    images, hits_of = np.bincount(patient), np.bincount(patient, weights=hits)
    complete = float((images**2).sum() / n)
    if (hits == hits[0]).all() or len(images) < 2:
        return complete
    share = hits.mean()
    variance = len(images) / (len(images) - 1) * ((hits_of - share * images) ** 2).sum() / n**2
    shown = max(1.0, float(variance / (share * (1 - share) / n)))
    with_rarer = min(int((hits_of > 0).sum()), int((hits_of < images).sum()))
    weight = with_rarer / (with_rarer + ENOUGH)
    return max(shown, weight * shown + (1 - weight) * complete)


ONE_PATIENT = "one patient: how much her images agree is not known"


def clustered_share(counted: Bools, among: Bools, patients: Sequence[str], why_empty: str) -> Figure:
    """Return the share of images with ``counted`` among those with ``among``, arrays of shape (n,) as ``patients``.

    Its interval is Wilson's, at 95%, on the images divided by the design effect (n effective images). ``why_empty`` is
    the reason if there are none.
    """
    own = [patient for patient, is_among in zip(patients, among, strict=True) if is_among]
    hits = counted[among]
    n, count, women = len(hits), int(hits.sum()), len(set(own))
    if n == 0:
        return Figure(None, numerator=0, denominator=0, reason=why_empty, patients=0)
    if women == 1:
        return Figure(count / n, None, None, count, n, interval_reason=ONE_PATIENT, patients=1)
    low, high = wilson(count / n, n / design_effect(hits, own))
    return Figure(count / n, low, high, count, n, patients=women)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share of n images; n may be a fraction."""
    low, high = proportion_confint(share * n, n, method="wilson")
    return (0.0 if share == 0 else float(low)), (1.0 if share == 1 else float(high))  # exact at the ends


@dataclass(frozen=True)
class AucComparison:
    """Two AUCs over the same patients: values, covariance (2,2), and the test of their difference."""

    first: float
    second: float
    covariance: NDArray[np.float64]

    @property
    def difference(self) -> float:
        """First minus second."""
        return self.first - self.second

    @property
    def standard_error(self) -> float:
        """Standard error of the difference."""
        c = self.covariance
        return math.sqrt(max(float(c[0, 0] + c[1, 1] - 2 * c[0, 1]), 0.0))

    @property
    def z(self) -> float:
        """The difference over its standard error; NaN where that is 0."""
        return self.difference / self.standard_error if self.standard_error > 0 else math.nan

    @property
    def p(self) -> float:
        """Two-sided p-value of the difference."""
        return float(2 * norm.sf(abs(self.z)))


def compare_aucs(
    first: Floats, first_labels: Bools, second: Floats, second_labels: Bools, patients: Sequence[str]
) -> AucComparison:
    """Compare the AUCs of two scores of the same images, (n,) each; labels may differ, as those of adversarial images.

    DeLong's test for clustered data (Obuchowski 1997). Both label sets need both classes.
    """
    parts = [_influence(first, first_labels), _influence(second, second_labels)]
    _, cluster = np.unique(np.asarray(patients), return_inverse=True)
    labels = (first_labels, second_labels)
    covariance = np.array(
        [[_covariance(parts[r][1], labels[r], parts[s][1], labels[s], cluster) for s in (0, 1)] for r in (0, 1)]
    )
    return AucComparison(parts[0][0], parts[1][0], covariance)


def clustered_auc(positive: Bools, score: Floats, patients: Sequence[str]) -> Figure:
    """Return the area under the ROC curve, tied pairs counting one half, with its 95% interval on the logit.

    n/a if a class is missing or a score is NaN; no interval if all images of a class are one patient's.
    """
    if positive.all() or not positive.any():
        found = "no images" if not len(positive) else f"only {'positive' if positive.all() else 'negative'} images"
        return Figure(None, reason=f"{found}: an AUC needs both classes")
    if np.isnan(score).any():
        return Figure(None, reason="not all images have a score")
    area, low, high = auc_with_logit_interval(score, positive, patients)
    if low == high:
        return Figure(area, interval_reason="the scores vary too little between patients to show an uncertainty")
    for name, own in (("positive", positive), ("negative", ~positive)):
        if len({patient for patient, is_own in zip(patients, own, strict=True) if is_own}) == 1:
            return Figure(area, interval_reason=f"all {name} images are one patient's")
    return Figure(area, low, high)


def auc_with_logit_interval(score: Floats, labels: Bools, patients: Sequence[str]) -> tuple[float, float, float]:
    """Return the AUC and its 95% interval, computed on the logit so that it stays within 0 and 1.

    An AUC of 0 or 1 has no standard error by formula. The interval is then Wilson's of as many outcomes, all alike, as
    the class with fewer patients has: wider than need be rather than without width.
    """
    area, influence = _influence(score, labels)
    _, cluster = np.unique(np.asarray(patients), return_inverse=True)
    if area in (0, 1):
        fewest = min(len(np.unique(cluster[own])) for own in (labels, ~labels))
        return area, *wilson(area, fewest)
    error = math.sqrt(max(_covariance(influence, labels, influence, labels, cluster), 0.0))
    half = Z95 * error / (area * (1 - area))
    logit = math.log(area / (1 - area))
    low, high = (1 / (1 + math.exp(-end)) for end in (logit - half, logit + half))
    return area, low, high


def _influence(score: Floats, positive: Bools) -> tuple[float, Floats]:
    """Return the AUC and what each image adds to it: its mean over pairs less the AUC, over its class's number."""
    of_positive, of_negative = score[positive], score[~positive]
    wins = (of_positive[:, None] > of_negative) + 0.5 * (of_positive[:, None] == of_negative)
    area = float(wins.mean())
    influence = np.zeros(len(score))
    influence[positive] = (wins.mean(axis=1) - area) / len(of_positive)
    influence[~positive] = (wins.mean(axis=0) - area) / len(of_negative)
    return area, influence


def _covariance(
    first: Floats, first_labels: Bools, second: Floats, second_labels: Bools, cluster: NDArray[np.intp]
) -> float:
    """Sum over classes of the clusters' products, each with n / (n - 1) of the clusters that hold the class.

    Parts of different classes, or of classes that are not the same images, take all clusters.
    """
    clusters = int(cluster.max()) + 1
    same = bool(np.array_equal(first_labels, second_labels))
    total = 0.0
    for one_class in (True, False):
        for other_class in (True, False):
            one, other = first_labels == one_class, second_labels == other_class
            n = len(np.unique(cluster[one])) if same and one_class == other_class else clusters
            sums = [
                np.bincount(cluster, weights=part * chosen, minlength=clusters)
                for part, chosen in ((first, one), (second, other))
            ]
            total += n / max(n - 1, 1) * float(sums[0] @ sums[1])
    return total
