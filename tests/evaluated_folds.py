"""Workspaces of folds as mammogan evaluate leaves them, without shards and networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mammogan.data.cohort.cohort import WORKSPACE_COLUMNS
from mammogan.evaluation.predictions import PREDICTIONS_SHA256, Prediction, write_predictions
from mammogan.io import tables
from mammogan.io.atomic import sha256
from mammogan.io.records import write_record
from mammogan.workspace import Workspace


def workspace_of(root: Path, tested: int, sizes: Sequence[int], fooled: int, before: float = 0.9) -> Workspace:
    """A fold that tests the mammograms of number ``tested`` of ``sizes``, whose CAD gives cancers ``before``; the
    attack hides ``fooled`` of them. The other folds' mammograms were trained on."""
    workspace = Workspace(root)
    predictions, lines = [], []
    for number, images in enumerate(sizes):
        for i in range(images):
            for label in ("positive", "negative"):
                key, patient = f"{label}{number}-{i}", f"p{label}{number}-{i // 2}"
                split = "test" if number == tested else "train"
                lines.append((key, patient, f"/data/{key}.dcm", "L", "CC", label, split))
                if number != tested:
                    continue
                score, after = (before, 0.1 if i < fooled else 0.8) if label == "positive" else (0.2, 0.3)
                kind, flipped = ("remove", "negative") if label == "positive" else ("insert", "positive")
                made = Prediction("96x96", f"{key}-{kind}", patient, flipped, after, "adversarial", kind, key)
                predictions += [Prediction("96x96", key, patient, label, score, "original"), made]
    write_predictions(workspace.predictions, predictions)
    write_record(workspace.report / "done.json", {PREDICTIONS_SHA256: sha256(workspace.predictions)})
    tables.write(workspace.cohort, WORKSPACE_COLUMNS, lines)
    return workspace


def folds(root: Path, *fooled: int, sizes: Sequence[int] = (8, 8, 4)) -> list[Workspace]:
    return [workspace_of(root / f"fold-{n + 1}", n, sizes, count) for n, count in enumerate(fooled)]
