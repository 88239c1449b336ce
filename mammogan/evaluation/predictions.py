"""Write and read the CAD's prediction for each mammogram: the rows of predictions.csv."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.io import tables
from mammogan.io.records import EVERY, DamagedRecord


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
    """original or adversarial."""
    direction: str = ""
    """remove or insert; empty for originals."""
    source_key: str = ""
    """Key of the original of an adversarial mammogram; empty for originals."""
    split: str = "test"
    objective: str = "study"
    """Objective of the generators of the column that this row belongs to."""

    @classmethod
    def of_record(cls, values: Mapping[str, Any]) -> Prediction:
        """Build a prediction from its fields as they were written; earlier versions called an original real."""
        return cls(**{**values, "kind": "original" if values["kind"] == "real" else values["kind"]})


PREDICTIONS_SHA256 = "predictions_sha256"
"""Key of done.json, the record of a report: the sha256 of its predictions.csv."""
DONE = {
    f"{PREDICTIONS_SHA256}?": str,
    "files?": [str],
    "settings?": dict,
    "cads?": {EVERY: {"name": str, "sha256": str}},
}
"""What the record of a report has, with the types; those of earlier versions have less."""
COLUMNS = tuple(field.name for field in dataclasses.fields(Prediction))


def write_predictions(path: Path, rows: Iterable[Prediction]) -> None:
    """Write predictions.csv. Probabilities are written so that reading them returns the same float."""
    tables.write(path, COLUMNS, (dataclasses.astuple(row) for row in rows))


def read_predictions(path: Path) -> list[Prediction]:
    """Read predictions.csv. Raise UserError if it is damaged."""
    try:
        rows = [{name: row[name] for name in COLUMNS} for row in tables.read_own_csv(path)]
        found = [Prediction.of_record(row | {"probability": float(row["probability"])}) for row in rows]
        if wrong := {row.kind for row in found} - {"original", "adversarial"}:
            raise ValueError(f"kind {wrong.pop()!r}")
        if wrong := {row.label for row in found} - {"positive", "negative"}:
            raise ValueError(f"label {wrong.pop()!r}")
        if any(not 0 <= row.probability <= 1 for row in found):
            raise ValueError("a probability that is not between 0 and 1")
    except (KeyError, ValueError) as error:
        why = f"it is no table of predictions ({error})"
        raise DamagedRecord(path, why, "Repeat mammogan evaluate, which writes it again") from None
    return found
