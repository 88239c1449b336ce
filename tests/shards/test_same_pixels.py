"""Files with the same pixels under both labels: none is used, whatever their order, and after any interruption."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
from dicoms import COLUMNS, RECORD, write_cohort, write_table

from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.inspect.verify import verify
from mammogan.data.shards.index import ShardIndex
from mammogan.io.records import read_record, write_record
from mammogan.workspace import Resolution, Workspace

SIZE, OTHER = Resolution(96, 96), Resolution(128, 96)
Rows = list[list[str]]


@pytest.fixture(scope="module")
def disputed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """A cohort in which one negative image has a copy with its label and one, of another patient, with the other."""
    table = write_cohort(tmp_path_factory.mktemp("cohort"), patients=8)
    with open(table, newline="") as file:
        rows = [*csv.reader(file)][1:]
    for name, patient, label in (("same", 1, "negative"), ("other", 2, "positive")):
        shutil.copy(table.parent / rows[1][0], table.with_name(f"{name}.dcm"))
        rows.append([f"{name}.dcm", f"{RECORD}-{patient}", "L", "CC", label])
    return table, rows


def convert(table: Path, rows: Rows, work: Workspace, **options: Any) -> Any:
    write_table(table, rows, COLUMNS)
    return convert_cohort(table, work, **{"resolutions": [SIZE, OTHER], "jobs": 1, "shard_images": 2, **options})


def names_of(work: Workspace) -> dict[str, str]:
    """The file's name of each key."""
    with open(work.cohort, newline="") as file:
        return {row["key"]: Path(row["path"]).name for row in csv.DictReader(file)}


def used(work: Workspace, resolution: Resolution = SIZE) -> set[str]:
    samples = [sample for shard in ShardIndex.load(work.shards(resolution)).shards for sample in shard.samples]
    return {names_of(work)[sample.key] for sample in samples}


@pytest.mark.parametrize("backwards", [False, True])
def test_of_one_image_under_both_labels_no_row_is_used_in_whatever_order_they_are(
    disputed: tuple[Path, Rows], tmp_path: Path, backwards: bool
) -> None:
    table, rows = disputed
    work = Workspace(tmp_path / "work")
    report = convert(table, rows[::-1] if backwards else rows, work)
    conflicting = {Path(rows[1][0]).name, "same.dcm", "other.dcm"}
    for resolution in (SIZE, OTHER):
        assert used(work, resolution) == {Path(row[0]).name for row in rows} - conflicting
        assert verify(work.shards(resolution)) == []
    assert report.skipped == {"labels_conflict": 3} and report.converted_now == report.files == len(rows)
    [warning] = report.warnings
    keys = [key for key, name in names_of(work).items() if name in conflicting]
    assert all(key in warning for key in keys) and warning.endswith("none of them is used. Correct the table")
    with open(work.salt.parent / "quarantine.csv", newline="") as file:
        details = {Path(row["path"]).name: row["detail"] for row in csv.DictReader(file)}
    assert set(details) == conflicting
    [other] = [key for key, name in names_of(work).items() if name == "other.dcm"]
    assert details["same.dcm"].startswith(f"same pixels as {other}, line ")
    again = convert(table, rows[::-1] if backwards else rows, work)
    assert again.converted_now == 0 and again.warnings == report.warnings and again.skipped == report.skipped


def test_an_interruption_before_the_first_row_is_taken_out_again_changes_no_shard(
    disputed: tuple[Path, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, rows = disputed
    whole, stopped = Workspace(tmp_path / "whole"), Workspace(tmp_path / "stopped")
    convert(table, rows, whole)
    stopped.salt.parent.mkdir(parents=True)
    shutil.copy(whole.salt, stopped.salt)
    with monkeypatch.context() as patched:
        patched.setattr("mammogan.data.conversion.shard_folder.ShardFolder.reopen", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert(table, rows, stopped)
    assert not (stopped.shards(SIZE) / "index.json").exists(), "nobody takes unfinished shards for finished ones"
    assert convert(table, rows, stopped).skipped == {"labels_conflict": 3}
    shards = [{p.name: p.read_bytes() for p in work.shards(SIZE).glob("*.tar")} for work in (whole, stopped)]
    assert shards[0] == shards[1]


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_repaired_file_that_shows_the_other_label_takes_the_first_row_out_of_its_finished_shard(
    disputed: tuple[Path, Rows], tmp_path: Path
) -> None:
    table, rows = disputed
    folder = tmp_path / "cohort"
    shutil.copytree(table.parent, folder)
    sound = (folder / "other.dcm").read_bytes()
    (folder / "other.dcm").write_bytes(b"damaged")
    work = Workspace(tmp_path / "work")
    first = convert(folder / table.name, rows, work)
    assert first.skipped == {"duplicate": 1, "not_dicom": 1} and not first.warnings
    (folder / "other.dcm").write_bytes(sound)
    assert convert(folder / table.name, rows, work).skipped == {"labels_conflict": 3}


def test_shards_of_a_version_that_kept_one_of_both_labels_are_continued_with_a_warning(
    disputed: tuple[Path, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, rows = disputed
    work = Workspace(tmp_path / "work")
    convert(table, rows, work)
    for marker in work.shards(SIZE).glob(".done/*.json"):
        held = read_record(marker)
        excluded = [{**row, "reason": "duplicate_conflict"} for row in held["excluded"]]
        write_record(marker, {name: value for name, value in held.items() if name != "copies"} | {"excluded": excluded})
    report = convert(table, rows, work, resolutions=[SIZE])
    assert report.converted_now == 0
    assert report.warnings[0].startswith("3 left out as duplicate_conflict by an earlier version")


def test_many_images_under_both_labels_are_counted_and_a_few_named(disputed: tuple[Path, Rows], tmp_path: Path) -> None:
    table, rows = disputed
    first = [row for row in rows if row[4] == "negative" and row[0] not in ("same.dcm", rows[1][0])][:7]
    doubled = [*rows[:-2]]
    for number, row in enumerate(first):
        shutil.copy(table.parent / row[0], table.with_name(f"twice{number}.dcm"))
        doubled.append([f"twice{number}.dcm", f"another {number}", row[2], "CC", "positive"])
    report = convert(table, doubled, Workspace(tmp_path / "work"), resolutions=[SIZE])
    assert report.skipped == {"labels_conflict": 2 * len(first)} and len(first) > 5
    assert len(report.warnings) == 6 and report.warnings[5].startswith(f"{len(first) - 5} further images have both")
