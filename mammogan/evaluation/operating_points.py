"""Thresholds other than .5, chosen on the validation split: Youden's, 90% sensitivity and 90% specificity.

The threshold decides how often an attack succeeds, so several are reported. All are applied to the test split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_curve

from mammogan.statistics.figure import Bools, Floats

WANTED = 0.9


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on the probability of cancer, and what it gave on the split that it was chosen on."""

    name: str
    threshold: float
    sensitivity: float
    specificity: float


def operating_points(probability: Floats, positive: Bools, given: float = 0.5) -> list[OperatingPoint]:
    """Return four points: the given threshold, Youden's, 90% sensitivity and 90% specificity.

    A mammogram is called positive if its probability is above the threshold. Of a split without both classes only the
    given threshold is returned.
    """
    found = {"given": given}
    if positive.any() and not positive.all():
        false, true, steps = roc_curve(positive, probability, drop_intermediate=False)
        thresholds = _between(steps)
        found["Youden"] = float(thresholds[np.argmax(true - false)])
        found["90% sensitivity"] = float(thresholds[np.argmax(true >= WANTED)])
        found["90% specificity"] = float(thresholds[np.flatnonzero(1 - false >= WANTED)[-1]])
    return [_measured(name, threshold, probability, positive) for name, threshold in found.items()]


def _between(steps: Floats) -> Floats:
    """Return thresholds half-way below each score of the curve: here above is called positive, in scikit-learn at
    least."""
    lower = np.append(steps[1:], steps[-1] - 1e-6)
    highest = np.nextafter(steps[1], np.inf) if len(steps) > 1 else 1.0
    return np.where(np.isinf(steps), highest, (steps + lower) / 2)


def _measured(name: str, threshold: float, probability: Floats, positive: Bools) -> OperatingPoint:
    called = probability > threshold
    sensitivity = float(called[positive].mean()) if positive.any() else float("nan")
    specificity = float((~called[~positive]).mean()) if not positive.all() else float("nan")
    return OperatingPoint(name, threshold, sensitivity, specificity)
