"""What the CAD says of each mammogram: the rows of predictions.csv."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mammogan.files import written_beside


@dataclass(frozen=True)
class Prediction:
    """One mammogram's probability of cancer; the fields are the columns of predictions.csv."""

    resolution: str
    key: str
    patient: str
    label: str
    """What it should be called: of an altered mammogram, the flipped label."""
    probability: float
    kind: str
    """real or adversarial."""
    direction: str = ""
    """remove or insert; empty for real ones."""
    source_key: str = ""
    """Key of the mammogram that was altered; empty for real ones."""
    split: str = "test"
    objective: str = "study"
    """Of the generators whose adversarial images it is reported beside."""


COLUMNS = tuple(field.name for field in dataclasses.fields(Prediction))


def write_predictions(path: Path, rows: Iterable[Prediction]) -> None:
    """Probabilities are written so that reading them gives the same float back."""
    with written_beside(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(dataclasses.astuple(row) for row in rows)
