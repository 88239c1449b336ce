"""Cross-validation: every patient is tested once, and the tables of all folds are pooled without counting twice."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL, checked, run_script
from edited import edit_record
from evaluated_folds import folds, workspace_of

from mammogan.cli.pool_folds import Options, outdated
from mammogan.data.cohort.cohort import WORKSPACE_COLUMNS
from mammogan.data.cohort.folds import Fold, fold_splits, read_cohort, write_fold_tables
from mammogan.data.cohort.table import Row, read_table
from mammogan.data.conversion.shard_settings import CONVERSION
from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.pooled_folds import pool_folds
from mammogan.evaluation.predictions import PREDICTIONS_SHA256
from mammogan.io import tables
from mammogan.io.atomic import read_json, sha256
from mammogan.io.records import write_record, write_yaml_record
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


@pytest.mark.parametrize(
    ("folds", "fault"), [(1, "expected 2 to 20"), (5, "found 6 positive: give fewer folds, at most 3")]
)
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


@pytest.mark.parametrize("text", ["2", "0/5", "6/5", "2/5/1", "1/1", "3/40", "-1/5"])
def test_a_fold_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=f"--fold {text}: expected"):
        Fold.parse(text)


def test_a_fold_read_from_the_table_is_the_one_that_fold_tables_writes(phantom: Path, tmp_path: Path) -> None:
    paths = write_fold_tables(phantom / "labels.csv", tmp_path / "folds", 2, seed=3)
    for number, path in enumerate(paths, 1):
        fold = Fold(number, 2, seed=3)
        assert [row.split for row in read_cohort(phantom / "labels.csv", fold)] == [r.split for r in read_table(path)]
        assert Fold.recorded(str(fold)) == fold
    assert Fold.recorded("of the table") is None


def of_seed(workspace: Workspace, seed: int) -> Path:
    """The workspace, whose CAD and generator were trained with a seed."""
    for run in ("cad-96x96", "gan-96x96-remove"):
        write_yaml_record(workspace.run(run) / "config.yaml", {"config": {"seed": seed}})
    return workspace.root


def recorded(workspace: Workspace, fold: Fold) -> Path:
    """The workspace, whose shards record their fold."""
    settings = {"resolution": "96x96", "cohort_sha256": "", "conversion": CONVERSION, "split": str(fold)}
    write_record(workspace.shards(SMALL) / "settings.json", settings)
    return workspace.root


def pooled(paths: Iterable[Path], out: Path) -> dict[str, Any]:
    pool_folds([*paths], out, 0.5)
    [column] = read_json(out / "pooled.json")["columns"]
    return dict(column)


def test_pooled_shares_count_all_folds_and_patients_of_two_folds_stay_two(tmp_path: Path) -> None:
    roots = [one.root for one in folds(tmp_path, 8, 2, 1)]
    checked("launch/pool_folds.py", *roots, "--out", tmp_path / "pooled")
    [column] = read_json(tmp_path / "pooled" / "pooled.json")["columns"]
    [only] = column["seeds"]
    share = only["pooled"]["fooled_remove"]
    assert (share["numerator"], share["denominator"]) == (11, 20)
    assert [fold["fooled_remove"]["value"] for fold in only["folds"]] == [1.0, 0.25, 0.25]
    spread = column["fold_spread"]["fooled_remove"]
    assert (spread["low"], spread["high"], spread["known"]) == (0.25, 1.0, 3)
    assert spread["sd"] == pytest.approx(0.4330127)
    assert only["pooled"]["auc_real"]["value"] == 1.0
    text = (tmp_path / "pooled" / "pooled.md").read_text()
    assert "11/20 (55.0%)" in text and text.startswith("Cross-validation with 3 folds and 1 seed of the trainings.")


def test_over_seeds_the_folds_are_pooled_first_and_then_have_mean_and_range(tmp_path: Path) -> None:
    sizes = (8, 4)
    fooled = {0: (8, 1), 3: (2, 2), 10: (5, 0)}  # by seed: how many are hidden in each fold
    paths = [
        of_seed(workspace_of(tmp_path / f"{n}-{seed}", n, sizes, of_fold[n]), seed)
        for n in range(2)
        for seed, of_fold in fooled.items()
    ]
    column = pooled(paths, tmp_path / "pooled")
    by_hand = [sum(of_fold) / 12 for of_fold in fooled.values()]
    assert [found["seed"] for found in column["seeds"]] == ["0", "3", "10"]
    assert [found["pooled"]["fooled_remove"]["value"] for found in column["seeds"]] == by_hand
    assert column["mean"]["fooled_remove"] == pytest.approx(sum(by_hand) / 3)
    of_seeds, of_folds = column["seed_spread"]["fooled_remove"], column["fold_spread"]["fooled_remove"]
    assert (of_seeds["low"], of_seeds["high"]) == (4 / 12, 9 / 12)
    means = [(8 + 2 + 5) / 3 / 8, (1 + 2 + 0) / 3 / 4]
    assert (of_folds["low"], of_folds["high"]) == (pytest.approx(means[1]), pytest.approx(means[0]))
    assert of_folds["sd"] == pytest.approx((means[0] - means[1]) / 2**0.5)
    text = (tmp_path / "pooled" / "pooled.md").read_text()
    assert "2 folds and 3 seeds of the trainings (0, 3, 10)" in text
    assert "| 0.500 | 0.333 to 0.750 | 0.250 to 0.625 | 0.265 |" in text and "9/12, 6 patients" in text
    lines = tables.read_own_csv(tmp_path / "pooled" / "pooled.csv")
    own = {line["seed"]: float(line["value"]) for line in lines if line["row"] == "fooled_remove"}
    assert own == {"0": by_hand[0], "3": by_hand[1], "10": by_hand[2], "mean": pytest.approx(0.5)}


def test_a_mean_over_fewer_seeds_says_so(tmp_path: Path) -> None:
    scores = {0: 0.9, 1: 0.4}  # with the second seed the CAD finds no cancer, so that none of its calls can be turned
    paths = [
        of_seed(workspace_of(tmp_path / f"{n}-{seed}", n, (4, 4), 2, before), seed)
        for n in range(2)
        for seed, before in scores.items()
    ]
    column = pooled(paths, tmp_path / "pooled")
    assert column["mean"]["fooled_remove"] == 0.5 and column["seed_spread"]["fooled_remove"]["known"] == 1
    assert "| 0.500 (1 of 2 seeds) | 0.500 to 0.500 |" in (tmp_path / "pooled" / "pooled.md").read_text()


def test_folds_that_each_had_a_seed_of_their_own_are_pooled_as_one(tmp_path: Path) -> None:
    paths = [of_seed(one, seed) for seed, one in enumerate(folds(tmp_path, 8, 2, 1))]
    [only] = pooled(paths, tmp_path / "pooled")["seeds"]
    assert only["seed"] == "0, 1, 2" and only["pooled"]["fooled_remove"]["numerator"] == 11


def refused(paths: Iterable[Path], out: Path) -> str:
    with pytest.raises(UserError) as caught:
        pool_folds([*paths], out / "pooled", 0.5)
    assert not (out / "pooled").exists()
    return str(caught.value)


def test_a_fold_that_is_missing_or_there_twice_is_refused_by_name(tmp_path: Path) -> None:
    one, two, three = folds(tmp_path, 1, 1, 1)
    again = workspace_of(tmp_path / "again", 0, (8, 8, 4), 1)
    assert "8 of 40 mammograms are tested in none" in refused([one.root, two.root], tmp_path)
    told = refused([one.root, two.root, three.root, again.root], tmp_path)
    assert f"{one.root} and {again.root} test the same mammograms" in told
    paths = [recorded(workspace, Fold(n, 3)) for n, workspace in ((1, one), (3, three))]
    assert refused(paths, tmp_path).startswith("fold 2 of 3 is missing")


def test_a_fold_that_one_seed_lacks_or_that_was_trained_twice_with_it_is_refused(tmp_path: Path) -> None:
    sizes = (4, 4)
    of_both = [of_seed(workspace_of(tmp_path / f"{n}-0", n, sizes, 1), 0) for n in range(2)]
    once = of_seed(workspace_of(tmp_path / "0-1", 0, sizes, 1), 1)
    told = refused([*of_both, once], tmp_path)
    assert f"seed 1 lacks the fold of {of_both[1]}" in told
    same = of_seed(workspace_of(tmp_path / "same", 1, sizes, 1), 0)
    told = refused([*of_both, same], tmp_path)
    assert f"{of_both[1]} and {same} test the same mammograms and were trained with the same seed 0" in told


def test_folds_of_another_table_another_number_or_another_seed_are_refused_by_name(tmp_path: Path) -> None:
    one, two, _ = folds(tmp_path, 1, 1, 1)
    larger = workspace_of(tmp_path / "larger", 1, (8, 8, 6), 1)
    told = refused([one.root, larger.root], tmp_path)
    assert f"{larger.root} has another table of mammograms than {one.root}: 4 that it lacks, 0 fewer" in told
    recorded(one, Fold(1, 3))
    for other in (Fold(2, 4), Fold(2, 3, seed=1)):
        told = refused([one.root, recorded(two, other)], tmp_path)
        assert told.startswith(f"{two.root} ({other}) and {one.root} (fold 1 of 3, seed 0) are not folds of one")


def test_folds_that_divide_the_patients_in_different_ways_are_refused(tmp_path: Path) -> None:
    one = workspace_of(tmp_path / "one", 0, (8, 4), 1)
    other = workspace_of(tmp_path / "other", 1, (8, 4), 1)
    lines = tables.read_own_csv(other.cohort)
    moved = [line | {"split": "test" if line["patient"].endswith("0-3") else line["split"]} for line in lines]
    tables.write(other.cohort, WORKSPACE_COLUMNS, [list(line.values()) for line in moved])
    assert f"{one.root} and {other.root} test 4 of the same mammograms" in refused([one.root, other.root], tmp_path)


def test_a_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    one, two, three = folds(tmp_path, 1, 1, 1)
    lines = tables.read_own_csv(two.cohort)
    first = next(line for line in lines if line["split"] == "test")
    lines[lines.index(first)] = first | {"split": "train"}
    tables.write(two.cohort, WORKSPACE_COLUMNS, [list(line.values()) for line in lines])
    told = refused([one.root, two.root, three.root], tmp_path)
    assert "patient ppositive1-0 is in train and in test; expected all images of a patient in one split" in told


def test_folds_that_are_not_evaluated_are_refused(tmp_path: Path) -> None:
    found = folds(tmp_path, 1, 1, 1)
    (found[1].report / "done.json").unlink()
    with pytest.raises(MissingInput, match="mammogan evaluate --workspace"):
        pool_folds([one.root for one in found], tmp_path / "pooled", 0.5)


def test_the_pooled_table_is_outdated_by_other_options_and_by_a_new_evaluation(tmp_path: Path) -> None:
    found = folds(tmp_path, 8, 2, 1)
    options = Options(tuple(one.root for one in found), tmp_path / "pooled")
    pool_folds(options.workspaces, options.out, options.threshold)
    assert outdated(options, sha256) == ""
    assert "--threshold 0.4 in place of 0.5" in outdated(replace(options, threshold=0.4), sha256)
    assert "--workspaces" in outdated(replace(options, workspaces=options.workspaces[:2]), sha256)
    workspace_of(found[2].root, 2, (8, 8, 4), 4)
    assert outdated(options, sha256) == f"{found[2].root} evaluated again"


def test_predictions_of_another_fold_damaged_ones_and_a_threshold_that_is_none_are_refused(tmp_path: Path) -> None:
    one, two = (workspace_of(tmp_path / f"fold-{n}", n, (4, 4), 2) for n in (0, 1))
    own = (two.report / "predictions.csv").read_bytes()
    shutil.copy(one.report / "predictions.csv", two.report / "predictions.csv")
    with pytest.raises(UserError, match=r"is of another workspace: .* is not in the test split"):
        pool_folds([one.root, two.root], tmp_path / "pooled", 0.5)
    for right, wrong in ((b",0.9,", b",7,"), (b",0.9,", b",nan,"), (b",positive,0.9", b",foo,0.9")):
        (two.report / "predictions.csv").write_bytes(own.replace(right, wrong, 1))
        with pytest.raises(UserError, match="is no table of predictions"):
            pool_folds([one.root, two.root], tmp_path / "pooled", 0.5)
    refused = run_script("launch/pool_folds.py", one.root, two.root, "--out", tmp_path / "pooled", "--threshold", "nan")
    assert refused.returncode == 2 and "expected a probability" in refused.stderr


def test_predictions_that_were_edited_or_filtered_after_the_report_are_refused(tmp_path: Path) -> None:
    found = folds(tmp_path, 4, 2, 1)
    path = found[0].predictions
    sound = path.read_text()
    lines = sound.splitlines(keepends=True)
    hidden = [line for line in lines if ",adversarial," in line and ",0.1," in line]
    kept = [line for line in lines if not (",adversarial," in line and ",0.8," in line)]
    for changed in (sound.replace(",0.8,adversarial", ",0.1,adversarial"), "".join(kept), sound + "".join(hidden)):
        assert changed != sound
        path.write_text(changed)
        told = refused([one.root for one in found], tmp_path)
        assert f"{path} was changed after it was written" in told and "Run\n  mammogan evaluate" in told
    path.write_text(sound)
    pool_folds([one.root for one in found], tmp_path / "pooled", 0.5)


def test_a_report_of_an_earlier_version_is_pooled_and_said_to_be_unchecked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = folds(tmp_path, 4, 2, 1)
    pool_folds([one.root for one in found], tmp_path / "pooled", 0.5)
    assert "earlier version" not in capsys.readouterr().out
    edit_record(found[1].report / "done.json", lambda done: done.pop(PREDICTIONS_SHA256))
    pool_folds([one.root for one in found], tmp_path / "pooled", 0.5)
    assert f"{found[1].root}: its report is of an earlier version" in capsys.readouterr().out


def test_lesion_regions_are_found_beside_the_table_that_a_fold_s_seeds_share(tmp_path: Path) -> None:
    fold, seed = Workspace(tmp_path / "fold-1"), Workspace(tmp_path / "fold-1-seed-0")
    for workspace in (fold, seed):
        workspace.root.mkdir()
    tables.write(fold.cohort, WORKSPACE_COLUMNS, [])
    seed.cohort.symlink_to("../fold-1/cohort.csv")
    assert seed.regions == fold.regions == tmp_path / "fold-1" / "private" / "regions.json"
