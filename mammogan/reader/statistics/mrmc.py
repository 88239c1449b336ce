"""Readers as a sample: Obuchowski and Rockette's analysis with Hillis's degrees of freedom.

A statement about "radiologists", not only about these, must count the readers as a sample. Two readers are too few: the
test then rejects twice as often as it says, so it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mammogan.errors import UserError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Metric = Callable[[Floats, Bools], float]
"""A figure of one reader's scores (cases,) and the truth (cases,)."""
Covariance = Callable[[Floats, Bools, Metric], Floats]
"""The covariance of a metric between rows of scores (rows, cases), (rows, rows): ``jackknife`` or ``delong``."""
LEAST_READERS = 3
LEAST_CASES = 2
"""Originals, and fakes, that leaving one out needs."""
NO_VARIANCE = 1e-12
"""Below it a variance of figures in [0,1] is rounding: a single answer of ten thousand images gives more."""


def auc(of_real: ArrayLike, of_fake: ArrayLike) -> float:
    """Return the share of pairs in which the fake has the higher score; ties count one half."""
    real, fake = np.asarray(of_real, float), np.asarray(of_fake, float)
    ranks = stats.rankdata(np.concatenate([real, fake]))
    above = ranks[len(real) :].sum() - len(fake) * (len(fake) + 1) / 2
    return float(above / (len(real) * len(fake)))


def auc_metric(scores: Floats, truth: Bools) -> float:
    """Return the AUC of scores (cases,) for truth (cases,)."""
    return auc(scores[~truth], scores[truth])


@dataclass(frozen=True)
class SingleTest:
    """One session (test) on its own: the readers' mean with a 95% interval for the population of readers and cases.

    No interval if the readers' figures are equal and no case sways them together: nothing then shows how far others
    would differ.
    """

    mean: float
    low: float | None
    high: float | None

    @property
    def within_range(self) -> tuple[float, float] | tuple[None, None]:
        """The interval cut to the range of a share, 0 to 1; None twice without one."""
        if self.low is None or self.high is None:
            return None, None
        return max(self.low, 0.0), min(self.high, 1.0)


@dataclass(frozen=True)
class ReadersAsSample:
    """Whether sessions (tests) differ in the population of readers and cases.

    No F, p or interval if all readers change alike and no case sways them together: there is then no error to compare
    the change with.
    """

    figures: Floats
    """The metric of each test and reader, (tests, readers)."""
    variance: float
    cov1: float
    """Same reader, other tests."""
    cov2: float
    """Other readers, same test."""
    cov3: float
    """Other readers, other tests."""
    ms_tests: float
    ms_readers: float
    ms_interaction: float
    f: float | None
    degrees: float | None
    """Denominator degrees of freedom by Hillis; infinite if readers and tests do not interact."""
    p: float | None
    difference: float
    """First test minus second."""
    low: float | None
    high: float | None
    singles: tuple[SingleTest, ...]


def jackknife(scores: Floats, truth: Bools, metric: Metric) -> Floats:
    """Return the covariance of the metric between rows of scores (rows, cases), by leaving out one case at a time."""
    cases = scores.shape[1]
    left = ~np.eye(cases, dtype=bool)
    without = np.array([[metric(row[keep], truth[keep]) for keep in left] for row in scores])
    return np.atleast_2d(np.cov(without)) * (cases - 1) ** 2 / cases


def delong(scores: Floats, truth: Bools, metric: Metric) -> Floats:
    """Return the covariance of the AUC between rows of scores (rows, cases) by DeLong, DeLong and Clarke-Pearson
    (1988): from each case's share of pairs that are in order. The metric must be the AUC."""
    if metric is not auc_metric:
        raise ValueError("DeLong's covariance is that of the AUC")
    above = np.sign(scores[:, truth][:, :, None] - scores[:, ~truth][:, None, :]) / 2 + 0.5
    of_fake, of_real = above.mean(axis=2), above.mean(axis=1)
    return np.atleast_2d(np.cov(of_fake)) / of_fake.shape[1] + np.atleast_2d(np.cov(of_real)) / of_real.shape[1]


def same_cases(
    scores: Floats, truth: Bools, metric: Metric = auc_metric, covariance_of: Covariance = jackknife
) -> ReadersAsSample:
    """Analyse tests in which all readers read the same cases: scores (tests, readers, cases), truth (cases,)."""
    tests, readers, _ = scores.shape
    _enough(readers, [truth])
    figures = np.array([[metric(scores[t, r], truth) for r in range(readers)] for t in range(tests)])
    flat = scores.reshape(tests * readers, -1)
    covariance = covariance_of(flat, truth, metric)
    test = np.repeat(np.arange(tests), readers)
    reader = np.tile(np.arange(readers), tests)
    same_test, same_reader = test[:, None] == test, reader[:, None] == reader
    covs = [
        float(covariance[chosen].mean()) if chosen.any() else 0.0
        for chosen in (same_test & same_reader, ~same_test & same_reader, same_test & ~same_reader)
    ]
    cov3 = float(covariance[~same_test & ~same_reader].mean())
    own = [float(covariance[np.ix_(test == t, test == t)][~np.eye(readers, dtype=bool)].mean()) for t in range(tests)]
    return _analyse(figures, (covs[0], covs[1], covs[2], cov3), own)


def other_cases(
    scores: Sequence[Floats],
    truths: Sequence[Bools],
    metric: Metric = auc_metric,
    covariance_of: Covariance = jackknife,
) -> ReadersAsSample:
    """Analyse tests with different cases, as sessions have: for each test scores (readers, cases) and truth (cases,).

    Cases nested in tests share nothing between tests, so Cov1 and Cov3 are 0. Covariances stay within a test.
    """
    readers = len(scores[0])
    _enough(readers, truths)
    figures = np.array([[metric(own, truth) for own in test] for test, truth in zip(scores, truths, strict=True)])
    covariances = [covariance_of(test, truth, metric) for test, truth in zip(scores, truths, strict=True)]
    others = ~np.eye(readers, dtype=bool)
    own = [float(covariance[others].mean()) for covariance in covariances]
    variance = float(np.mean([np.diag(covariance).mean() for covariance in covariances]))
    return _analyse(figures, (variance, 0.0, float(np.mean(own)), 0.0), own)


def _enough(readers: int, truths: Sequence[Bools]) -> None:
    if readers < LEAST_READERS:
        raise UserError(
            f"{readers} readers cannot stand for all readers (the test would reject about twice as often as it says); "
            f"at least {LEAST_READERS} are needed. The comparisons of each reader hold for these readers"
        )
    fakes, originals = (min(int((truth == kind).sum()) for truth in truths) for kind in (True, False))
    if min(fakes, originals) < LEAST_CASES:
        raise UserError(
            f"the images that all {readers} readers have answered are {originals} originals and {fakes} fakes in one "
            f"session; at least {LEAST_CASES} of each are needed to speak of other images"
        )


def _analyse(figures: Floats, covs: tuple[float, float, float, float], cov2_of_tests: list[float]) -> ReadersAsSample:
    tests, readers = figures.shape
    of_test, of_reader, grand = figures.mean(axis=1), figures.mean(axis=0), figures.mean()
    ms_tests = readers * float(((of_test - grand) ** 2).sum()) / (tests - 1)
    ms_readers = tests * float(((of_reader - grand) ** 2).sum()) / (readers - 1)
    residual = figures - of_test[:, None] - of_reader + grand
    ms_interaction = float((residual**2).sum()) / ((tests - 1) * (readers - 1))
    below = ms_interaction + max(readers * (covs[2] - covs[3]), 0.0)
    difference = float(of_test[0] - of_test[1])
    singles = tuple(_single(row, cov2) for row, cov2 in zip(figures, cov2_of_tests, strict=True))
    known = (figures, *covs, ms_tests, ms_readers, ms_interaction)
    if below < NO_VARIANCE:
        return ReadersAsSample(*known, None, None, None, difference, None, None, singles)
    degrees = _degrees(below, ms_interaction, (tests - 1) * (readers - 1))
    f = ms_tests / below
    p = _p_of(f, tests - 1, degrees)
    half = float(stats.t.ppf(0.975, degrees)) * float(np.sqrt(2 / readers * below))
    return ReadersAsSample(*known, f, degrees, p, difference, difference - half, difference + half, singles)


def _degrees(below: float, ms: float, degrees: int) -> float:
    return below**2 / (ms**2 / degrees) if ms > 0 else float("inf")


def _p_of(f: float, above: int, degrees: float) -> float:
    """Return the p of an F, by chi-square where the denominator has infinite degrees of freedom."""
    return float(stats.chi2.sf(f * above, above) if np.isinf(degrees) else stats.f.sf(f, above, degrees))


def _single(figures: Floats, cov2: float) -> SingleTest:
    readers = len(figures)
    spread = float(figures.var(ddof=1))
    total = spread + max(readers * cov2, 0.0)
    mean = float(figures.mean())
    if total < NO_VARIANCE:
        return SingleTest(mean, None, None)
    half = float(stats.t.ppf(0.975, _degrees(total, spread, readers - 1))) * float(np.sqrt(total / readers))
    return SingleTest(mean, mean - half, mean + half)
