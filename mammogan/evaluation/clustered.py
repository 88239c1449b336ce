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

from mammogan.evaluation.bootstrap import Bools, Figure, Floats

Z95 = float(norm.ppf(0.975))


def design_effect(hits: Bools, patients: Sequence[str]) -> float:
    """Return the variance of a share over that of as many independent images: 1, or more if a patient's images agree.

    Never below 1, and never above the number of images a patient where all images have the same outcome, since nothing
    is known of their agreement then: it is taken as complete.
    """
    n = len(hits)
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    count = np.bincount(patient)
    share = hits.mean()
    if share in (0, 1):
        return n / len(count)
    residual = np.bincount(patient, weights=hits - share)
    groups = len(count)
    if groups < 2:
        return float(n)
    variance = groups / (groups - 1) * (residual**2).sum() / n**2
    return max(1.0, float(variance / (share * (1 - share) / n)))


def clustered_share(hits: Bools, patients: Sequence[str], nobody: str) -> Figure:
    """Return a share with Wilson's 95% interval on the images divided by the design effect (n effective images)."""
    n, count = len(hits), int(hits.sum())
    if n == 0:
        return Figure(None, numerator=0, denominator=0, reason=nobody)
    effective = n / design_effect(hits, patients)
    low, high = wilson(count / n, effective)
    return Figure(count / n, low, high, count, n, patients=len(set(patients)))


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


def auc_with_logit_interval(score: Floats, labels: Bools, patients: Sequence[str]) -> tuple[float, float, float]:
    """Return the AUC and its 95% interval, computed on the logit so that it stays within 0 and 1.

    An AUC of 0 or 1 has no standard error by formula: the interval is then that of half a wrong pair.
    """
    area, influence = _influence(score, labels)
    _, cluster = np.unique(np.asarray(patients), return_inverse=True)
    error = math.sqrt(max(_covariance(influence, labels, influence, labels, cluster), 0.0))
    pairs = int(labels.sum()) * int((~labels).sum())
    inside = min(max(area, 0.5 / pairs), 1 - 0.5 / pairs)
    half = Z95 * max(error, 0.5 / pairs) / (inside * (1 - inside))
    logit = math.log(inside / (1 - inside))
    low, high = (1 / (1 + math.exp(-end)) for end in (logit - half, logit + half))
    return area, min(low, area), max(high, area)


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
