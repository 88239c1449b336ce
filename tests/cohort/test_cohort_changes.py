"""A table that is not the one of a workspace's shards: the refusal says what differs, and names nobody."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import run_script
from dicoms import COLUMNS, NAME, RECORD, breast, write_cohort, write_mammogram, write_table

from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

SIZE, OTHER = Resolution(96, 96), Resolution(128, 96)
Rows = list[list[str]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Workspace]:
    root = tmp_path_factory.mktemp("finished")
    table = write_cohort(root / "cohort", patients=12)
    convert_cohort(table, Workspace(root / "work"), [SIZE], jobs=1)
    return table, Workspace(root / "work")


@pytest.fixture
def refused(finished: tuple[Path, Workspace], tmp_path: Path) -> Callable[..., str]:
    """What is said of the same table after a change, in a copy of its workspace."""
    table, made = finished
    work = Workspace(tmp_path / "work")
    shutil.copytree(made.root, work.root)

    def convert(change: Callable[[Rows], Rows] = list, size: Resolution = SIZE, **options: int) -> str:
        _, *rows = [line.split(",") for line in table.read_text().splitlines()]
        changed = write_table(table.with_name(f"{tmp_path.name}.csv"), change(rows), COLUMNS)
        with pytest.raises(UserError) as caught:
            convert_cohort(changed, work, [size], jobs=1, **options)  # type: ignore[arg-type]
        said = str(caught.value)
        assert NAME.lower() not in said.lower() and RECORD not in said
        assert "--overwrite" in said and "another --workspace" in said and "sha256" not in said
        return said

    return convert


def keys_of(work: Path) -> list[str]:
    return [line.split(",")[0] for line in (work / "cohort.csv").read_text().splitlines()[1:]]


def with_cell(rows: Rows, row: int, column: str, cell: str) -> Rows:
    position = COLUMNS.index(column)
    return [[cell if (n, p) == (row, position) else held for p, held in enumerate(r)] for n, r in enumerate(rows)]


def test_rows_that_joined_or_went_are_counted(refused: Callable[..., str], finished: tuple[Path, Workspace]) -> None:
    folder = finished[0].parent
    for name in ("new1.dcm", "new2.dcm"):
        write_mammogram(folder / name, breast(seed=len(name)))
    more = [[name, "another", "L", "CC", "negative"] for name in ("new1.dcm", "new2.dcm")]
    said = refused(lambda rows: rows[:-1])
    assert "96x96 holds shards made with other settings or of another cohort: in the table 1 row gone. Give" in said
    assert "in the table 2 rows added, 1 row gone." in refused(lambda rows: [*rows[1:], *more])


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [("laterality", "R", "side"), ("view", "MLO", "view"), ("patient", f"{RECORD}-99", "patient")],
)
def test_a_corrected_row_is_counted_by_what_was_corrected_and_its_key_is_named(
    column: str, cell: str, words: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    said = refused(lambda rows: with_cell(rows, 4, column, cell))
    # A patient of one row more, or of a label more, may be in another split.
    assert f"in the table 1 row changed ({words} 1" in said and f": {keys_of(tmp_path / 'work')[4]})" in said


def test_corrected_labels_are_counted_and_three_keys_are_named(refused: Callable[..., str], tmp_path: Path) -> None:
    def relabelled(rows: Rows) -> Rows:
        return [[*row[:4], "positive" if row[1] in (f"{RECORD}-1", f"{RECORD}-3") else row[4]] for row in rows]

    said = refused(relabelled)
    shown = [key for key in keys_of(tmp_path / "work") if key in said]
    assert "in the table 4 rows changed (label 4" in said and len(shown) == 3 and ", ...)" in said


def test_other_columns_are_reported(finished: tuple[Path, Workspace]) -> None:
    table, work = finished
    header, *lines = table.read_text().splitlines()
    denser = table.with_name("denser.csv")
    denser.write_text("\n".join([f"{header},density", *(f"{line},B" for line in lines)]))
    with pytest.raises(UserError, match="in the table density, study or the sources of label, side or view differ"):
        convert_cohort(denser, work, [SIZE], jobs=1)


def test_paths_written_differently_are_distinguished_from_another_salt(
    refused: Callable[..., str], finished: tuple[Path, Workspace], tmp_path: Path
) -> None:
    folder = finished[0].parent
    said = refused(lambda rows: [[str(folder / row[0]), *row[1:]] for row in rows])
    assert "in the table 18 rows changed (path as it is written 18: " in said
    (tmp_path / "work/private/salt").write_text("another secret, also long")
    assert "of another cohort: the salt differs. Give" in refused()
    said = refused(lambda rows: with_cell(rows, 4, "view", "MLO")[1:])
    assert "of another cohort: the salt differs, 1 row gone, 1 row changed (view 1: " in said


def test_shards_are_not_made_again_with_another_salt_before_the_table_of_the_old_one_is_removed(
    finished: tuple[Path, Workspace],
) -> None:
    table, work = finished
    before = keys_of(work.root)
    work.salt.unlink()
    with pytest.raises(UserError, match=r"is not the one that .*cohort.csv was made with.*Bring the salt back from a"):
        convert_cohort(table, work, [SIZE], jobs=1, overwrite=True)
    assert keys_of(work.root) == before
    work.cohort.unlink()
    convert_cohort(table, work, [SIZE], jobs=1, overwrite=True)
    assert not {*keys_of(work.root)} & {*before}


def test_another_seed_is_reported(refused: Callable[..., str]) -> None:
    said = refused(seed=5)
    assert "split was seed 0, is seed 5" in said and "changed (split " in said and "salt" not in said


def test_another_resolution_of_a_changed_table_is_refused_in_the_same_words(refused: Callable[..., str]) -> None:
    said = refused(lambda rows: rows[:-1], size=OTHER)
    assert "96x96 holds shards of another cohort: in the table 1 row gone. One workspace has one split" in said


@pytest.mark.parametrize("damage", ["gone", "no table", "key\na-b-c\n", ""])
def test_a_workspaces_table_that_is_gone_or_damaged_is_reported(
    damage: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    held = tmp_path / "work" / "cohort.csv"
    held.unlink()
    if damage != "gone":
        held.write_text(damage)
    said = refused(lambda rows: rows[:-1])
    assert "the table or the salt differs; cohort.csv, which would show how, is missing or damaged" in said


def test_the_help_says_what_a_changed_table_costs() -> None:
    told = " ".join(run_script("shards/make_shards.py", "--help").stdout.split())
    assert "When the table has grown, the same command converts the new rows only" in told
    assert "After rows were corrected or taken away, all shards are made anew (--overwrite)" in told
