"""One number of the results with its interval, or with the reason why it has none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

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
    """Why there is no interval."""
    patients: int | None = None
    """Number of patients whose images the denominator counts; None if it was not counted."""

    @property
    def of_few_patients(self) -> bool:
        """Whether it is a share over so few patients that only its counts are printed."""
        return self.denominator is not None and self.patients is not None and self.patients < FEWEST_PATIENTS
