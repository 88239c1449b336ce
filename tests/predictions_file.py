"""predictions.csv read as another program would read it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from mammogan.evaluation.predictions import Prediction


def read_predictions(path: Path) -> list[Prediction]:
    with open(path, newline="", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    return [Prediction(**(row | {"probability": float(row["probability"])})) for row in rows]
