"""What a label, a side and a view rest on, and which exam an image is of, are in the shards; other texts are not."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from dicoms import COLUMNS, write_cohort, write_table

from mammogan.data.cohort.cohort import assign
from mammogan.data.cohort.label_sources import SOURCES
from mammogan.data.cohort.pseudonyms import Pseudonyms
from mammogan.data.cohort.table import Row
from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort, verify
from mammogan.data.shards.reader import read_shard
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)
NAMES = Pseudonyms(b"secret, secret, secret")
EXAM = "1.2.826.0.1.3680043.8.498"


def with_columns(table: Path, **columns: list[str]) -> Path:
    """The same table with further columns, whose cells are taken in turn."""
    with open(table, newline="") as file:
        _, *rows = csv.reader(file)
    more = [[cells[n % len(cells)] for cells in columns.values()] for n in range(len(rows))]
    return write_table(table, [[*row, *cells] for row, cells in zip(rows, more, strict=True)], (*COLUMNS, *columns))


def converted(table: Path, root: Path) -> list[dict[str, Any]]:
    """The facts of all samples."""
    work = Workspace(root)
    convert_cohort(table, work, [SIZE], jobs=1)
    folder = work.shards(SIZE)
    assert verify(folder) == []
    return [sample.facts for shard in ShardIndex.load(folder).shards for sample in read_shard(folder / shard.name)]


def test_sources_of_the_table_are_in_every_samples_json(tmp_path: Path) -> None:
    words = {column: [words[-1]] for column, words in SOURCES.items()}
    facts = converted(with_columns(write_cohort(tmp_path / "cohort"), **words), tmp_path / "work")
    assert len(facts) == 9 and all(held[column] == word for held in facts for column, [word] in words.items())


def test_any_other_text_in_their_place_is_left_out_and_so_is_a_column_that_is_not_there(tmp_path: Path) -> None:
    texts = {"label_source": ["told by DOE, JANE"], "view_source": ["table", "Monday"], "remark": ["DOE"]}
    facts = converted(with_columns(write_cohort(tmp_path / "cohort"), **texts), tmp_path / "work")
    assert {held.get("view_source") for held in facts} == {"table", None}
    assert not any({"label_source", "laterality_source", "study", "remark"} & set(held) for held in facts)
    shards = b"".join(tar.read_bytes() for tar in (tmp_path / "work/shards").rglob("*.tar"))
    assert b"DOE" not in shards and b"Monday" not in shards


def test_a_study_is_there_under_a_pseudonym(tmp_path: Path) -> None:
    table = with_columns(write_cohort(tmp_path / "cohort"), study=["first exam of MRN424242"])
    facts = converted(table, tmp_path / "work")
    assert len({held["study"] for held in facts}) == len({held["patient"] for held in facts}) == 6
    assert all(len(held["study"]) == 12 and int(held["study"], 16) >= 0 for held in facts)


def row(line: int, patient: str, split: str, study: str) -> Row:
    return Row(line, f"{line}.dcm", patient, "L", "CC", "negative", split, None, study)


def test_an_exam_that_two_patients_share_is_refused_where_they_are_in_two_splits(tmp_path: Path) -> None:
    leak = [row(2, "x", "train", f"{EXAM}.1"), row(3, "y", "train", f"{EXAM}.2"), row(4, "z", "test", f"{EXAM}.1")]
    with pytest.raises(UserError, match=r"lines 2 and 4 .*one study by its UID, .*one in train and one in test"):
        assign(leak, tmp_path, NAMES, 0)
    assert assign(leak[:2], tmp_path, NAMES, 0)
    assert assign([*leak[:2], row(4, "z", "train", f"{EXAM}.1")], tmp_path, NAMES, 0)
    of_uuid = "2.25.329800735698586629295641978511506172918"  # two points only
    with pytest.raises(UserError, match=r"lines 2 and 3 .*one study by its UID"):
        assign([row(2, "x", "train", of_uuid), row(3, "y", "test", of_uuid)], tmp_path, NAMES, 0)


def test_an_exam_that_many_patients_share_is_no_exam(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort")
    facts = converted(with_columns(cohort, study=[EXAM]), tmp_path / "work")
    assert len({held["split"] for held in facts}) == 3 and not any("study" in held for held in facts)
    report = convert_cohort(cohort, Workspace(tmp_path / "work"), [SIZE], jobs=1)
    assert [said for said in report.warnings if said.startswith("9 rows have a StudyInstanceUID in their column study")]
    few = [row(line, patient, "train", EXAM) for line, patient in enumerate("xyz", start=2)]
    assert all(mammogram.study for mammogram in assign(few, tmp_path, NAMES, 0))
    mixed = [*few, row(5, "w", "test", EXAM), row(6, "w", "test", f"{EXAM}.1")]
    assert [bool(mammogram.study) for mammogram in assign(mixed, tmp_path, NAMES, 0)] == [False] * 4 + [True]


@pytest.mark.parametrize("study", ["1", "2019-01-01", "20190101", "baseline", ""])
def test_numbers_and_dates_are_a_patients_own(tmp_path: Path, study: str) -> None:
    one, other = assign([row(2, "x", "train", study), row(3, "y", "test", study)], tmp_path, NAMES, 0)
    assert (one.study != other.study) if study else (one.study is None and other.study is None)


def test_an_exam_in_two_splits_is_found_in_finished_shards(tmp_path: Path) -> None:
    table = with_columns(write_cohort(tmp_path / "cohort"), study=[f"{EXAM}.{n}" for n in range(9)])
    facts = converted(table, tmp_path / "work")
    train, test = (next(held for held in facts if held["split"] == split) for split in ("train", "test"))
    for tar in (tmp_path / "work/shards").rglob("test-*.tar"):
        tar.write_bytes(tar.read_bytes().replace(test["study"].encode(), train["study"].encode()))
    assert f"leak: study {train['study']} is in test and train" in verify(Workspace(tmp_path / "work").shards(SIZE))
