"""Cross-validation: every patient is tested once, and the tables of all folds are pooled without counting twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from conftest import checked

from mammogan.data.cohort.folds import fold_splits, write_fold_tables
from mammogan.data.cohort.table import Row, read_table
from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.pooled_folds import pool_folds
from mammogan.evaluation.predictions import Prediction, write_predictions
from mammogan.io import tables
from mammogan.io.atomic import read_json, write_json
from mammogan.workspace import Workspace


def rows(positive: int, negative: int) -> list[Row]:
    labels = ["positive"] * positive + ["negative"] * negative
    return [Row(i, f"{i}.dcm", f"patient {i}", "L", "CC", label, None, None) for i, label in enumerate(labels)]


def test_every_patient_is_tested_once_and_validated_in_one_other_fold_at_most() -> None:
    folds = fold_splits(rows(23, 61), 5)
    tests = Counter(patient for fold in folds for patient, split in fold.items() if split == "test")
    assert len(folds) == 5 and set(tests.values()) == {1} and len(tests) == 84
    validated = Counter(patient for fold in folds for patient, split in fold.items() if split == "validation")
    assert max(validated.values()) == 1
    for fold in folds:
        assert len(fold) == 84
        positives = Counter(split for patient, split in fold.items() if int(patient.split()[1]) < 23)
        assert positives["test"] in (4, 5) and positives["validation"] in (2, 3) and positives["train"] >= 15


def test_another_seed_gives_other_folds_and_the_order_of_the_rows_does_not_matter() -> None:
    some = rows(12, 20)
    assert fold_splits(some, 4) == fold_splits(some[::-1], 4) != fold_splits(some, 4, seed=1)


@pytest.mark.parametrize(("folds", "fault"), [(1, "expected 2 to 20"), (5, "found 6 positive: give fewer --folds")])
def test_folds_that_cannot_be_made_are_refused(folds: int, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        fold_splits(rows(6, 40), folds)


def test_the_tables_of_folds_keep_all_columns_and_are_private(phantom: Path, tmp_path: Path) -> None:
    paths = write_fold_tables(phantom / "labels.csv", tmp_path / "folds", 2)
    original = tables.read_own_csv(phantom / "labels.csv")
    tested = Counter()
    for path in paths:
        assert path.stat().st_mode & 0o777 == 0o600
        held = read_table(path)
        assert [Path(row.path) == row.file and row.file.is_file() for row in held] == [True] * len(original)
        assert {row.split for row in held} == {"train", "validation", "test"}
        assert set(original[0]) <= set(tables.read_own_csv(path)[0])
        tested.update(row.path for row in held if row.split == "test")
    assert set(tested.values()) == {1} and len(tested) == len(original)
    with pytest.raises(UserError, match="is there already"):
        write_fold_tables(phantom / "labels.csv", tmp_path / "folds", 2)


def fold(root: Path, number: int, images: int, fooled: int) -> Path:
    """A workspace with a report whose CAD finds all cancers, of which the attack hides ``fooled``."""
    workspace = Workspace(root / f"fold-{number}")
    predictions, lines = [], []
    for i in range(images):
        for label, before, after in (("positive", 0.9, 0.1 if i < fooled else 0.8), ("negative", 0.2, 0.3)):
            key, kind = f"{label}{i}", {"positive": "remove", "negative": "insert"}[label]
            flipped = {"positive": "negative", "negative": "positive"}[label]
            predictions.append(Prediction("96x96", key, f"p{label}{i // 2}", label, before, "real"))
            predictions.append(
                Prediction("96x96", f"{key}-{kind}", f"p{label}{i // 2}", flipped, after, "adversarial", kind, key)
            )
            lines.append((key, f"p{label}{i // 2}", f"/data/{number}/{key}.dcm", "L", "CC", label, "test"))
    write_predictions(workspace.report / "predictions.csv", predictions)
    write_json(workspace.report / "done.json", {})
    tables.write(workspace.cohort, ("key", "patient", "path", "laterality", "view", "label", "split"), lines)
    return workspace.root


def test_pooled_shares_count_all_folds_and_patients_of_two_folds_stay_two(tmp_path: Path) -> None:
    folds = [fold(tmp_path, 1, 8, 8), fold(tmp_path, 2, 8, 2), fold(tmp_path, 3, 4, 1)]
    checked("launch/pool_folds.py", *folds, "--out", tmp_path / "pooled")
    (column,) = read_json(tmp_path / "pooled" / "pooled.json")["columns"]
    pooled = column["pooled"]["fooled_remove"]
    assert (pooled["numerator"], pooled["denominator"]) == (11, 20)
    assert [fold["fooled_remove"]["value"] for fold in column["folds"]] == [1.0, 0.25, 0.25]
    spread = column["spread"]["fooled_remove"]
    assert (spread["low"], spread["high"], spread["folds"]) == (0.25, 1.0, 3)
    assert spread["sd"] == pytest.approx(0.4330127)
    assert column["pooled"]["auc_real"]["value"] == 1.0
    assert "11/20 (55.0%)" in (tmp_path / "pooled" / "pooled.md").read_text()


def test_folds_that_test_the_same_mammograms_or_are_not_evaluated_are_refused(tmp_path: Path) -> None:
    one = fold(tmp_path, 1, 4, 1)
    other = fold(tmp_path / "again", 1, 4, 1)
    with pytest.raises(UserError, match="test the same mammograms"):
        pool_folds([one, other], tmp_path / "pooled", 0.5)
    two = fold(tmp_path, 2, 4, 1)
    (Workspace(two).report / "done.json").unlink()
    with pytest.raises(MissingInput, match="mammogan evaluate --workspace"):
        pool_folds([one, two], tmp_path / "pooled", 0.5)
