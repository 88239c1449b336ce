"""Warn of women who probably have two identifiers in one table, and would be in two splits."""

from __future__ import annotations

from collections.abc import Sequence

from mammogan.data.cohort.accents import accent_warnings
from mammogan.data.cohort.breasts_apart import Shown, breasts_apart_warnings
from mammogan.data.cohort.separators import separator_warnings
from mammogan.data.cohort.spreadsheets import rounding_warnings
from mammogan.data.cohort.visits_apart import visits_apart_warnings


def one_woman_warnings(images: Sequence[Shown]) -> list[str]:
    """Return at most one warning of each kind; what is surely one woman is refused before."""
    patients = [(image.line, image.patient) for image in images]
    return [
        *separator_warnings(patients),
        *accent_warnings(patients),
        *breasts_apart_warnings(images),
        *visits_apart_warnings(patients),
        *rounding_warnings(patients),
    ]
