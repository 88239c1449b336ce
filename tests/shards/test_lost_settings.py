"""What is known of shards whose settings.json was deleted: their fold and settings, as long as anything says them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from conftest import SMALL
from dicoms import write_cohort

from mammogan.cli import make_shards
from mammogan.data.cohort.folds import Fold
from mammogan.data.conversion.convert_cohort import convert_cohort, verify
from mammogan.data.conversion.fold_of_shards import division_of, refuse_other_fold
from mammogan.errors import UserError
from mammogan.io.atomic import sha256
from mammogan.workspace import Workspace

FOLD = Fold(2, 2)


@pytest.fixture(scope="module")
def of_a_fold(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("fold")
    convert_cohort(write_cohort(root / "cohort", patients=12), Workspace(root / "work"), [SMALL], jobs=1, fold=FOLD)
    return Workspace(root / "work")


@pytest.fixture
def table(of_a_fold: Workspace) -> Path:
    return of_a_fold.root.parent / "cohort" / "labels.csv"


@pytest.fixture
def lost(of_a_fold: Workspace, tmp_path: Path) -> Workspace:
    """The shards of a fold, without settings.json."""
    shutil.copytree(of_a_fold.root, tmp_path / "work")
    (tmp_path / "work" / "shards" / str(SMALL) / "settings.json").unlink()
    return Workspace(tmp_path / "work")


def test_their_fold_is_still_known_and_another_one_is_refused(lost: Workspace, table: Path) -> None:
    assert division_of(lost) == str(FOLD)
    for fold in (None, Fold(1, 2)):
        asked = fold or "no fold"
        with pytest.raises(UserError, match=f"the shards are of {FOLD}, and shards of {asked} are requested"):
            refuse_other_fold(lost, str(fold or ""))
        with pytest.raises(UserError, match=f"the shards are of {FOLD}, and shards of {asked} are requested"):
            convert_cohort(table, lost, [SMALL], jobs=1, fold=fold)
        options = make_shards.Options(table, lost.root, (str(SMALL),), fold=f"{fold.number}/{fold.of}" if fold else "")
        assert "the shards are of" in make_shards.outdated(options, sha256)


def test_other_settings_are_refused_too_and_the_same_ones_write_it_again(
    of_a_fold: Workspace, lost: Workspace, table: Path
) -> None:
    with pytest.raises(UserError, match="voi was header, is linear_bits"):
        convert_cohort(table, lost, [SMALL], jobs=1, fold=FOLD, voi="linear_bits")
    assert convert_cohort(table, lost, [SMALL], jobs=1, fold=FOLD).converted_now == 0
    written, earlier = (work.shards(SMALL) / "settings.json" for work in (lost, of_a_fold))
    assert written.read_bytes() == earlier.read_bytes() and verify(lost.shards(SMALL)) == []


@pytest.mark.parametrize("other", [{"fold": Fold(1, 2)}, {"fold": None}, {"fold": FOLD, "voi": "linear_bits"}])
def test_without_an_index_their_markers_alone_say_that_other_shards_are_requested(
    lost: Workspace, table: Path, other: dict[str, object]
) -> None:
    (lost.shards(SMALL) / "index.json").unlink()
    before = {path: path.read_bytes() for path in lost.root.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=re.escape("settings.json, which says which, is missing. Bring it back")):
        convert_cohort(table, lost, [SMALL], jobs=1, **other)  # type: ignore[arg-type]
    assert {path: path.read_bytes() for path in before} == before
    assert convert_cohort(table, lost, [SMALL], jobs=1, fold=FOLD).converted_now == 0
    assert division_of(lost) == str(FOLD)


def test_a_folder_without_both_is_made_again_when_that_is_asked_for(lost: Workspace, table: Path) -> None:
    (lost.shards(SMALL) / "index.json").unlink()
    convert_cohort(table, lost, [SMALL], jobs=1, fold=Fold(1, 2), overwrite=True)
    assert division_of(lost) == str(Fold(1, 2)) and verify(lost.shards(SMALL)) == []
