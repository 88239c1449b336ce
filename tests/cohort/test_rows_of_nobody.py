"""A row of which nobody knows whom, which breast or which exam it is about is never passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from archives import cmmd, embed, omi_db
from archives.miniature import Miniature
from archives.scanning import WRITERS, outcome, rows_of, scanned
from test_unread_cells import CLINICAL, rewritten

from mammogan.data.archives.days import days_of
from mammogan.data.archives.labels import Policy
from mammogan.data.archives.selection import Selection
from mammogan.errors import UserError


def changed(made: Miniature, out: Path, selection: Selection | None = None) -> dict[str, str]:
    """What became of the files of which something else is expected."""
    scanned(made.root, out, selection)
    return {path: word for path, word in outcome(made.root, out).items() if word != made.expected[path]}


@pytest.mark.parametrize(
    ("name", "table", "column"),
    [
        ("rsna", "train.csv", "patient_id"),
        ("csaw-cc", "CSAW-CC_breast_cancer_screening_data.csv", "anon_patientid"),
        ("vindr", "breast-level_annotations.csv", "study_id"),
        ("embed", CLINICAL, "empi_anon"),
        ("embed", "tables/EMBED_OpenData_metadata.csv", "empi_anon"),
        ("cbis-ddsm", "mass_case_description_test_set.csv", "patient_id"),
    ],
)
@pytest.mark.parametrize(("cell", "found"), [("", "an empty cell"), ("unknown", "a word")])
def test_a_row_without_a_patient_is_refused_with_its_line(
    name: str, table: str, column: str, cell: str, found: str, tmp_path: Path
) -> None:
    made = WRITERS[name](tmp_path / "archive")
    rows = rows_of(made.root / table)
    rewritten(made.root / table, lambda row: row.update({column: cell} if row == rows[-1] else {}))
    with pytest.raises(UserError, match=rf"line \d+, {column}: .*a patient, found {found}"):
        scanned(made.root, tmp_path / "labels.csv")


def test_a_name_that_was_merged_over_two_rows_of_a_workbook_is_refused(tmp_path: Path) -> None:
    made = cmmd.write(tmp_path / "archive")
    book = next(made.root.glob("*.xlsx"))
    rows = [("D2-0004", "L", "39", "4", "mass", "Benign", ""), ("", "R", "39", "4", "mass", "Malignant", "")]
    book.unlink()
    cmmd.write_workbook(book, [cmmd.COLUMNS, *rows])
    with pytest.raises(UserError, match="line 3, id1: expected the identifier of a patient, found an empty cell"):
        scanned(made.root, tmp_path / "labels.csv", Selection(Policy(unlisted="negative")))


def test_a_finding_in_a_breast_or_an_exam_that_is_not_named_leaves_out_the_woman(tmp_path: Path) -> None:
    made = cmmd.write(tmp_path / "archive", workbook=False)
    rewritten(
        next(made.root.glob("*.csv")),
        lambda row: row.update({"LeftRight": ""} if row["ID1"] == "D2-0004" else {}),
        separator=";",
    )
    found = changed(made, tmp_path / "cmmd.csv", Selection(Policy(unlisted="negative", contralateral="exclude")))
    assert {Path(path).parts[1] for path in found} == {"D2-0004"} and set(found.values()) == {"unknown_cell"}
    made = embed.write(tmp_path / "embed")
    rewritten(made.root / CLINICAL, lambda row: row.update({"acc_anon": ""} if row["path_severity"] == "1.0" else {}))
    found = changed(made, tmp_path / "embed.csv")
    assert {Path(path).parts[2] for path in found} == {"6"} and set(found.values()) == {"unknown_cell"}


def edit(path: Path, place: str, value: Any) -> None:
    held = json.loads(path.read_text())
    *above, last = place.split("/")
    inside = held
    for name in above:
        inside = inside[name]
    inside[last] = value
    path.write_text(json.dumps(held))


@pytest.mark.parametrize(
    ("file", "place", "value"),
    [
        ("imagedb", "STUDIES/1.2.12/EpisodeID", "2.0"),
        ("imagedb", "STUDIES/1.2.12/EpisodeID", ["2"]),
        ("imagedb", "STUDIES/1.2.12", "2"),
        ("imagedb", "STUDIES", [{"EpisodeID": "2"}]),
        ("nbss", "2", [{"EpisodeType": "R"}]),
    ],
)
def test_an_episode_that_is_not_found_leaves_out_the_woman(file: str, place: str, value: Any, tmp_path: Path) -> None:
    made = omi_db.write(tmp_path / "archive")
    edit(made.root / f"data/optm1/{file}_optm1.json", place, value)
    found = changed(made, tmp_path / "labels.csv")
    assert {Path(path).parts[1] for path in found} == {"optm1"} and set(found.values()) == {"unknown_cell"}
    assert len(found) == 3


def test_a_cancer_in_an_episode_that_no_study_names_makes_the_other_exams_prior_ones(tmp_path: Path) -> None:
    made = omi_db.write(tmp_path / "archive")
    edit(made.root / "data/optm1/imagedb_optm1.json", "STUDIES/1.2.12/EpisodeID", None)
    assert set(changed(made, tmp_path / "labels.csv").values()) == {"no_label"}


def test_a_file_of_a_client_with_brackets_without_end_leaves_her_out(tmp_path: Path) -> None:
    made = omi_db.write(tmp_path / "archive")
    (made.root / "data/optm2/nbss_optm2.json").write_text('{"1": ' + "[" * 9000)
    found = changed(made, tmp_path / "labels.csv")
    assert {Path(path).parts[1] for path in found} == {"optm2"} and set(found.values()) == {"unknown_cell"}


@pytest.mark.parametrize(
    "day",
    [
        *("Tuesday, January 20, 2015", "Jan 20 2015", "20. Jan. 2015", "2015-Jan-20", "20JAN2015:00:00:00.000"),
        *("20150120.0", "42024.5", "20.01.2015 13.45", "2015-01-20T00:00:00Z"),
    ],
)
def test_a_day_in_words_or_with_a_time_is_read(day: str) -> None:
    assert str(days_of([day, "2015-01-02"], "day")[day]) == "2015-01-20"
