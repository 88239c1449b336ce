"""A study on shards of a fold of a cross-validation: which fold they are of is asked before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from clusters import leave_clusters
from conftest import SMALL, run_script
from dicoms import write_cohort

from mammogan.data.cohort.folds import Fold
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.workspace import Workspace


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


@pytest.fixture(scope="module")
def of_a_fold(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A table, and a workspace with the shards of its second fold."""
    root = tmp_path_factory.mktemp("fold")
    table = write_cohort(root / "cohort", patients=12)
    convert_cohort(table, Workspace(root / "work"), [SMALL], jobs=1, fold=Fold(2, 2))
    return table, root / "work"


@pytest.mark.parametrize("more", [["--cluster", "local", "--dry-run"], ["--dry-run"], ["--cluster", "local"]])
@pytest.mark.parametrize("lost", [False, True])
def test_without_fold_it_is_refused_before_anything_runs_even_if_settings_json_is_gone(
    of_a_fold: tuple[Path, Path], more: list[str], lost: bool
) -> None:
    table, work = of_a_fold
    settings = work / "shards" / str(SMALL) / "settings.json"
    kept = settings.read_bytes()
    if lost:
        settings.unlink()
    told = run_script("launch/study.py", "--cohort", table, "--workspace", work, "--resolution", str(SMALL), *more)
    settings.write_bytes(kept)
    asked = "the shards are of fold 2 of 2, seed 0, and shards of no fold are requested"
    assert told.returncode == 2 and f"{work}: {asked}" in told.stderr and told.stdout == "", told.stdout
    assert "for this one --fold 2/2 --fold-seed 0" in told.stderr and not (work / "study").exists()


def test_a_fold_that_a_settings_file_names_counts_as_one(of_a_fold: tuple[Path, Path], tmp_path: Path) -> None:
    table, work = of_a_fold
    words = ("launch/study.py", "--cohort", table, "--workspace", work, "--resolution", str(SMALL), "--dry-run")
    for fold, code in (("2/2", 0), ("1/2", 2)):
        (tmp_path / "study.yaml").write_text(f"shards: {{fold: {fold}}}")
        assert run_script(*words, "--config", tmp_path / "study.yaml").returncode == code


def test_without_a_table_the_shards_are_used_and_their_fold_is_said(of_a_fold: tuple[Path, Path]) -> None:
    _, work = of_a_fold
    told = run_script("launch/study.py", "--workspace", work, "--cluster", "local", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert f"note: the shards of {work} are of fold 2 of 2, seed 0, and are used as they are" in told.stderr
