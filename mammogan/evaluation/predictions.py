"""Write the CAD's prediction for each mammogram: the rows of predictions.csv."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mammogan.io import tables


@dataclass(frozen=True)
class Prediction:
    """The predicted probability of cancer of one mammogram; the fields are the columns of predictions.csv."""

    resolution: str
    key: str
    patient: str
    label: str
    """The true class; for an adversarial mammogram, the flipped label."""
    probability: float
    kind: str
    """real or adversarial."""
    direction: str = ""
    """remove or insert; empty for real mammograms."""
    source_key: str = ""
    """Key of the original of an adversarial mammogram; empty for real mammograms."""
    split: str = "test"
    objective: str = "study"
    """Objective of the generators of the column that this row belongs to."""


COLUMNS = tuple(field.name for field in dataclasses.fields(Prediction))


def write_predictions(path: Path, rows: Iterable[Prediction]) -> None:
    """Write predictions.csv. Probabilities are written so that reading them returns the same float."""
    tables.write(path, COLUMNS, (dataclasses.astuple(row) for row in rows))
