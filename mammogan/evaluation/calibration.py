"""Do the CAD's probabilities mean what they say?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from mammogan.statistics.figure import Bools, Floats

NO_PENALTY = np.inf


@dataclass(frozen=True)
class Calibration:
    """Slope of the outcome on the logit of the probability (1 is right, above: too timid), and Brier scores."""

    slope: float | None
    """None if a split has one class only, or the probabilities separate the classes completely."""
    brier: float
    brier_of_prevalence: float
    """Brier score of a CAD that says the prevalence of the split each time; a useful CAD is below it."""
    mean_probability: float
    prevalence: float


def calibration(probability: Floats, positive: Bools) -> Calibration:
    """Return how well probabilities (n,) are calibrated; the prevalence is that of the split, which is artificial."""
    prevalence = float(positive.mean())
    brier = float(((probability - positive) ** 2).mean())
    return Calibration(
        _slope(probability, positive), brier, prevalence * (1 - prevalence), float(probability.mean()), prevalence
    )


def _slope(probability: Floats, positive: Bools) -> float | None:
    if positive.all() or not positive.any():
        return None
    if probability[positive].min() > probability[~positive].max():
        return None
    inside = np.clip(probability, 1e-6, 1 - 1e-6)
    logit = np.log(inside / (1 - inside))[:, None]
    fitted = LogisticRegression(C=NO_PENALTY, max_iter=1000).fit(logit, positive)
    return float(fitted.coef_[0, 0])
