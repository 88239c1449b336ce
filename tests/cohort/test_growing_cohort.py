"""A cohort that grows: only the new rows are converted, nothing else changes, and everybody is told."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from dicoms import COLUMNS, breast, write_cohort, write_mammogram, write_table

from mammogan.attack.domain_check import check_domain
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.conversion.plan import planned
from mammogan.data.inspect.verify import verify
from mammogan.data.shards.index import ShardIndex
from mammogan.errors import UserError
from mammogan.training.run.preflight import refuse_grown
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Resolution, Workspace

HIGH, LOW = Resolution(128, 96), Resolution(96, 96)
Rows = list[list[str]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Workspace]:
    root = tmp_path_factory.mktemp("finished")
    table = write_cohort(root / "cohort", patients=12)
    convert_cohort(table, Workspace(root / "work"), [HIGH, LOW], jobs=1, shard_images=3)
    for number in range(20):
        write_mammogram(table.parent / f"new{number}.dcm", breast(seed=1000 + number))
    return table, Workspace(root / "work")


@pytest.fixture
def work(finished: tuple[Path, Workspace], tmp_path: Path) -> Workspace:
    shutil.copytree(finished[1].root, tmp_path / "work")
    return Workspace(tmp_path / "work")


@pytest.fixture
def rows(finished: tuple[Path, Workspace]) -> Rows:
    with open(finished[0], newline="") as file:
        return [*csv.reader(file)][1:]


def new(*numbers: int, patient: str = "") -> Rows:
    return [
        [f"new{n}.dcm", patient or f"new {n}", "L", "CC", "positive" if n % 2 and not patient else "negative"]
        for n in numbers
    ]


def convert(finished: tuple[Path, Workspace], work: Workspace, rows: Sequence[list[str]], **options: Any) -> Any:
    table = write_table(finished[0].with_name("grown.csv"), rows, COLUMNS)
    return convert_cohort(table, work, **{"resolutions": [HIGH, LOW], "jobs": 1, "shard_images": 3, **options})


def tars(work: Workspace, resolution: Resolution = HIGH) -> dict[str, tuple[bytes, int]]:
    """Bytes and inode of each shard: a rewritten one has another inode."""
    found = sorted(work.shards(resolution).glob("*.tar"))
    return {path.name: (path.read_bytes(), path.stat().st_ino) for path in found}


def splits(work: Workspace) -> dict[str, str]:
    with open(work.cohort, newline="") as file:
        return {row["patient"]: row["split"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("place", ["last", "first", "in between", "all rows in another order"])
def test_only_new_rows_are_converted_wherever_they_are_in_the_table(
    place: str, finished: tuple[Path, Workspace], work: Workspace, rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier, places = tars(work), splits(work)
    added = new(0, 1, 2)
    grown = {
        "last": [*rows, *added],
        "first": [*added, *rows],
        "in between": [*rows[:5], *added, *rows[5:]],
        "all rows in another order": [*rows[::-1], *added],
    }[place]
    report = convert(finished, work, grown)
    assert report.converted_now == 3 and report.files == report.used == len(rows) + 3
    assert "the table has grown by 3 rows with 3 new patients" in capsys.readouterr().out
    now = tars(work)
    assert {name: now[name] for name in earlier} == earlier and len(now) > len(earlier)
    assert splits(work).items() >= places.items() and len(splits(work)) == len(places) + 3
    assert verify(work.shards(HIGH)) == verify(work.shards(LOW)) == []
    assert convert(finished, work, grown).converted_now == 0


def test_the_index_says_what_was_added_and_the_fingerprint_of_before_is_known(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows
) -> None:
    before = ShardIndex.load(work.shards(HIGH))
    assert before.additions == () and before.added_since(before.fingerprint) == ()
    convert(finished, work, [*rows, *new(0, 1)])
    between = ShardIndex.load(work.shards(HIGH))
    convert(finished, work, [*rows, *new(0, 1), *new(3), *new(4, patient="new 0")])
    now = ShardIndex.load(work.shards(HIGH))
    assert [(a.rows, a.patients, a.mammograms) for a in now.additions] == [(2, 2, 2), (2, 1, 2)]
    assert {s.name for s in now.shards} == {s.name for s in before.shards} | {
        n for a in now.additions for n in a.shards
    }
    assert now.added_since(before.fingerprint) == now.additions
    assert now.added_since(between.fingerprint) == now.additions[1:] and now.added_since(now.fingerprint) == ()
    assert now.added_since("another") is None and len({i.fingerprint for i in (before, between, now)}) == 3
    assert len({index.settings_sha256 for index in (before, between, now)}) == 3


def test_a_patient_who_was_moved_in_the_small_cohort_stays_and_brings_new_images_along(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows
) -> None:
    places = splits(work)
    everybody = list(dict.fromkeys(row[1] for row in rows))
    more = [[f"new{n}.dcm", patient, "L", "MLO", "negative"] for n, patient in enumerate(everybody)]
    convert(finished, work, [*rows, *more])
    assert splits(work) == places
    assert all(addition.patients == 0 for addition in ShardIndex.load(work.shards(HIGH)).additions)
    assert verify(work.shards(HIGH)) == []


def test_growing_in_steps_and_an_interruption_give_the_same_bytes(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows, tmp_path: Path
) -> None:
    shutil.copytree(work.root, tmp_path / "other")
    other = Workspace(tmp_path / "other")
    grown = [*rows, *new(*range(8))]
    convert(finished, work, grown)
    convert(finished, other, grown)
    # As after a kill in the middle of the addition: no index, two shards and their markers missing.
    (other.shards(HIGH) / "index.json").unlink()
    for name in list(ShardIndex.load(work.shards(HIGH)).additions[0].shards)[:2]:
        (other.shards(HIGH) / name).unlink()
        (other.shards(HIGH) / ".done" / name.replace(".tar", ".json")).unlink()
    report = convert(finished, other, grown)
    assert 0 < report.converted_now < 8
    index, again = (ShardIndex.load(w.shards(HIGH)) for w in (work, other))
    assert index.fingerprint == again.fingerprint and index.additions == again.additions


def test_one_resolution_may_lack_what_was_added_and_gets_it_later(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows
) -> None:
    convert(finished, work, [*rows, *new(0, 1)], resolutions=[HIGH])
    assert len(ShardIndex.load(work.shards(LOW)).additions) == 0
    convert(finished, work, [*rows, *new(0, 1), *new(2)], resolutions=[LOW])
    low = ShardIndex.load(work.shards(LOW))
    assert [addition.rows for addition in low.additions] == [2, 1]
    convert(finished, work, [*rows, *new(0, 1), *new(2)], resolutions=[HIGH])
    assert ShardIndex.load(work.shards(HIGH)).additions == low.additions
    third = Resolution(96, 128)
    report = convert(finished, work, [*rows, *new(0, 1), *new(2)], resolutions=[third])
    assert report.converted_now == len(rows) + 3 and ShardIndex.load(work.shards(third)).additions == low.additions


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[1:], "1 row gone"),
        (lambda rows: rows[:-1], "1 row gone"),
        (lambda rows: [[*rows[0][:4], "negative"], *rows[1:]], "1 row changed (label 1"),
        (lambda rows: [*rows[:-1], [*rows[-1][:1], "somebody else", *rows[-1][2:]]], "1 row changed (patient 1"),
    ],
)
def test_corrected_and_missing_rows_of_any_addition_are_refused(
    change: Any, words: str, finished: tuple[Path, Workspace], work: Workspace, rows: Rows
) -> None:
    convert(finished, work, [*rows, *new(0, 1)])
    held = tars(work)
    with pytest.raises(UserError) as caught:
        convert(finished, work, change([*rows, *new(0, 1)]))
    assert words in str(caught.value) and "--overwrite" in str(caught.value) and tars(work) == held
    report = convert(finished, work, change([*rows, *new(0, 1)]), overwrite=True)
    assert report.converted_now == report.files and ShardIndex.load(work.shards(HIGH)).additions == ()


def test_without_the_workspaces_table_a_grown_cohort_is_refused_and_its_shards_stay(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows
) -> None:
    convert(finished, work, [*rows, *new(0, 1)])
    held, table = tars(work), work.cohort.read_text()
    for damaged in ("", "key\n", table.replace(",0\n", ",7\n", 1), table.replace(",0\n", ",much\n", 1)):
        work.cohort.write_text(damaged)
        with pytest.raises(UserError, match="--overwrite"):
            convert(finished, work, [*rows, *new(0, 1)])
    work.cohort.write_text(table)
    assert convert(finished, work, [*rows, *new(0, 1)]).converted_now == 0 and tars(work) == held


def test_a_workspace_of_a_version_without_additions_grows_too(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows
) -> None:
    held = [line.rpartition(",")[0] for line in work.cohort.read_text().splitlines()]
    work.cohort.write_text("\n".join(held) + "\n")
    assert "addition" not in work.cohort.read_text()
    assert convert(finished, work, [*rows, *new(0)]).converted_now == 1


def test_a_copy_of_an_earlier_image_is_no_new_image(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows
) -> None:
    copy = finished[0].with_name("copy.dcm")
    shutil.copy(finished[0].parent / rows[0][0], copy)
    report = convert(finished, work, [["copy.dcm", *rows[0][1:]], *rows, *new(0)])
    assert report.skipped == {"duplicate": 1} and report.converted_now == 2
    excluded = json.loads((work.shards(HIGH) / "index.json").read_text())["excluded"]
    assert [row["line"] for row in excluded] == [2]


def test_an_added_copy_of_an_earlier_image_with_the_other_label_is_left_out_and_every_run_warns_of_both(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows
) -> None:
    earlier, name = tars(work), rows[0][0]
    shutil.copy(finished[0].parent / name, finished[0].with_name("copy.dcm"))
    label = "positive" if rows[0][4] == "negative" else "negative"
    grown = [["copy.dcm", "added", *rows[0][2:4], label], *rows, *new(0)]
    first, again = (convert(finished, work, grown) for _ in range(2))
    with open(work.cohort, newline="") as file:
        keys = {row["path"].rpartition("/")[2]: row["key"] for row in csv.DictReader(file)}
    stays, added = keys[name.rpartition("/")[2]], keys["copy.dcm"]
    for report in (first, again):
        assert report.skipped == {"labels_conflict": 1}
        [warning] = report.warnings
        assert warning.startswith(f"{stays} is in shards that were finished before, but {added}, added later, has")
        assert "--overwrite" in warning
    assert (first.converted_now, again.converted_now) == (2, 0)
    assert {name: tars(work)[name] for name in earlier} == earlier and verify(work.shards(HIGH)) == []
    anew = convert(finished, work, grown, overwrite=True)
    assert anew.skipped == {"labels_conflict": 2} and "none of them is used" in anew.warnings[0]
    assert anew.used == first.used - 1


def test_the_shards_that_will_be_made_are_known_before(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows
) -> None:
    table = write_table(finished[0].with_name("grown.csv"), [*new(0, 1, 2), *rows], COLUMNS)
    told = planned(table, work, seed=0, shard_images=3)
    convert(finished, work, [*new(0, 1, 2), *rows])
    assert told == [Path(shard.name).stem for shard in ShardIndex.load(work.shards(HIGH)).shards]


def test_a_training_says_that_its_data_have_changed_and_its_networks_may_still_be_used(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(work.cad_run(HIGH))
    before = ShardIndex.load(work.shards(HIGH))
    run.path.mkdir(parents=True)
    run.path.joinpath("config.yaml").write_text(f"config: {{}}\nshards_sha256: {before.fingerprint}\n")
    refuse_grown(run, before)
    convert(finished, work, [*rows, *new(0, 1)])
    index = ShardIndex.load(work.shards(HIGH))
    with pytest.raises(UserError, match=r"its data have changed. .* 2 mammograms \(.*\) and 2 patients were added"):
        refuse_grown(run, index)
    check_domain([("the CAD", run.shards_sha256)], index, "")
    assert "the CAD was trained before 2 mammograms were added" in capsys.readouterr().out
    with pytest.raises(UserError, match="trained on other mammograms"):
        check_domain([("the CAD", "another")], index, "")


def test_without_its_own_table_a_workspace_that_has_grown_says_what_can_be_done(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows
) -> None:
    convert(finished, work, [*new(0, 1), *rows])
    kept, earlier = work.cohort.read_bytes(), tars(work)
    work.cohort.unlink()
    with pytest.raises(UserError, match=r"cohort.csv is missing .*added to this workspace \(1 time\).* from a copy"):
        convert(finished, work, [*new(0, 1), *rows])
    assert tars(work) == earlier and not work.cohort.exists()
    work.cohort.write_bytes(kept)
    assert convert(finished, work, [*new(0, 1), *rows]).converted_now == 0


def test_without_its_own_table_a_workspace_that_never_grew_goes_on_with_the_table_of_its_shards(
    finished: tuple[Path, Workspace], work: Workspace, rows: Rows
) -> None:
    kept = work.cohort.read_bytes()
    work.cohort.unlink()
    assert convert(finished, work, rows).converted_now == 0 and work.cohort.read_bytes() == kept
