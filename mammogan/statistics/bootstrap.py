"""Compute intervals of medians by resampling patients: for what has no formula.

The measures of one patient's mammograms depend on each other, so patients are drawn, never images. Shares and AUCs have
formulas, see clustered.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammogan.statistics.figure import Floats

EDGES = (0.025, 0.975)
FEWEST = 6
"""With fewer patients a median has no 95% interval: in over 5% of cohorts they all lie on one side of it."""


@dataclass(frozen=True)
class Resampling:
    """How often patients are drawn anew, and from which seed."""

    draws: int
    seed: int

    def median_interval(self, values: Floats, patients: Sequence[str]) -> tuple[float, float] | None:
        """Return the 95% percentile interval of the median of ``values`` (n,); ``patients`` says whose each value is.

        As many patients as there are get drawn with replacement, each with all of their values. They are numbered in
        order of first appearance, so the draws do not depend on their names. None if there are fewer than FEWEST.
        """
        number = {name: i for i, name in enumerate(dict.fromkeys(patients))}
        if len(number) < FEWEST:
            return None
        order = np.argsort(values, kind="stable")
        patient = np.array([number[name] for name in patients], dtype=np.intp)[order]
        even = np.full(len(number), 1 / len(number))
        times = np.random.default_rng(self.seed).multinomial(len(number), even, size=self.draws)
        reached = np.cumsum(times[:, patient], axis=1)  # how many drawn values are at most this one
        total = reached[:, -1:]
        below, above = ((reached > middle).argmax(axis=1) for middle in ((total - 1) // 2, total // 2))
        low, high = np.quantile((values[order][below] + values[order][above]) / 2, EDGES)
        return float(low), float(high)
