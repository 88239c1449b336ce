"""Shares of correct answers: what an "unsure" counts, intervals that hold near 0 and 1, and the comparison of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import fisher_exact
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from mammogan.reader.config import Unsure
from mammogan.reader.statistics.answers import Answer
from mammogan.statistics.clustered import wilson


@dataclass(frozen=True)
class Share:
    """A share with its Wilson 95% interval."""

    hits: float
    n: int

    @property
    def value(self) -> float | None:
        """The share in [0,1]; None of nothing."""
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval; None of nothing."""
        if not self.n:
            return None
        return wilson(self.hits / self.n, self.n)


def accuracy(answers: Sequence[Answer], unsure: Unsure = "wrong") -> Share:
    """Return the share of correct answers.

    An unsure answer is wrong, unless ``unsure`` says that it counts one half, or is left out of both numbers.
    """
    doubts = sum(answer.answer == "unsure" for answer in answers)
    right = sum(answer.correct for answer in answers)
    return Share(right + doubts / 2 if unsure == "half" else right, len(answers) - (doubts * (unsure == "left out")))


@dataclass(frozen=True)
class Comparison:
    """Two independent shares: the second minus the first, with Newcombe's 95% interval and Fisher's two-sided p."""

    difference: float
    low: float
    high: float
    p: float


def compare(first: Share, second: Share) -> Comparison | None:
    """Compare two shares of different images; None if one of them has no images or counts halves."""
    if not (first.n and second.n) or any(share.hits != int(share.hits) for share in (first, second)):
        return None
    a, b = int(first.hits), int(second.hits)
    low, high = confint_proportions_2indep(b, second.n, a, first.n, method="newcomb", compare="diff")
    p = fisher_exact(np.array([[a, first.n - a], [b, second.n - b]])).pvalue
    return Comparison(b / second.n - a / first.n, float(low), float(high), float(p))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values: with them, all statements together are wrong with 5% at most."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Return the exact p of two readings of the same images, from the images that only one of them got right."""
    return float(mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue)
