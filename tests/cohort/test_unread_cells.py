"""A cell that a reader does not understand is never taken for an empty one: the woman is left out, by name."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import embed, omi_db
from archives.miniature import Miniature
from archives.scanning import WRITERS, outcome, rows_of, scanned

from mammogan.data.archives.days import days_of
from mammogan.data.archives.labels import Policy
from mammogan.data.archives.selection import Selection
from mammogan.errors import UserError

CLINICAL = "tables/EMBED_OpenData_clinical.csv"


def rewritten(path: Path, change: Callable[[dict[str, str]], None], separator: str = ",") -> None:
    """Change the rows of a table in place."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, delimiter=separator))
    for row in rows:
        change(row)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


FORMS = ("{m}/{d}/{y}", "{d}/{m}/{y}", "{m:02}/{d:02}/{yy:02}", "{d}.{m}.{y}", "{y}{m:02}{d:02}", "{m}/{d}/{y} 0:00")


@pytest.mark.parametrize("form", FORMS)
def test_embeds_days_are_read_as_spreadsheets_write_them(tmp_path: Path, form: str) -> None:
    made = embed.write(tmp_path / "archive")

    def change(row: dict[str, str]) -> None:
        y, m, d = map(int, row["study_date_anon"].split("-"))
        row["study_date_anon"] = form.format(y=y, m=m, d=d, yy=y % 100)

    rewritten(made.root / CLINICAL, change)
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


def test_a_pathology_without_a_day_says_something_of_every_exam_or_nothing_is_said(tmp_path: Path) -> None:
    made, out = embed.write(tmp_path / "archive"), tmp_path / "labels.csv"

    def change(row: dict[str, str]) -> None:
        if row["acc_anon"].startswith("32"):  # the biopsy of patient 3
            row["study_date_anon"] = ""

    rewritten(made.root / CLINICAL, change)
    scanned(made.root, out)
    changed = {path: word for path, word in outcome(made.root, out).items() if word != made.expected[path]}
    assert changed and {Path(path).parts[2] for path in changed} == {"3"} and set(changed.values()) == {"unknown_cell"}


def test_a_mark_of_no_spot_is_no_spot(tmp_path: Path) -> None:
    made = embed.write(tmp_path / "archive")
    rewritten(
        made.root / "tables/EMBED_OpenData_metadata.csv",
        lambda row: row.update(spot_mag=row["spot_mag"] or "0.0"),
    )
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


def test_days_of_which_a_spreadsheet_may_have_exchanged_some_are_refused() -> None:
    for understood in ("01.05.2015", "2015-05-01", "42125"):
        with pytest.raises(UserError, match=r"table x, day: .* may have exchanged day and month"):
            days_of([understood, "1/20/2015", ""], "table x, day")
    assert str(days_of(["25.05.2015", "1/20/2015"], "day")["1/20/2015"]) == "2015-01-20"


def test_days_that_can_be_read_in_two_ways_are_refused() -> None:
    with pytest.raises(UserError, match="table x, day: expected days that can be read in one way"):
        days_of(["1/2/2015", "3/4/2015", ""], "table x, day")
    same = days_of(["1/1/2015", "2/2/2015"], "day")
    assert {str(day) for day in same.values()} == {"2015-01-01", "2015-02-02"}
    mixed = days_of(["13/1/2015", "1/13/2015", "2015-01-13", "42017", "20-Jan-2015", "soon"], "day")
    assert [mixed[cell] for cell in ("13/1/2015", "1/13/2015", "soon")] == [None, None, None]
    assert {str(mixed[cell]) for cell in ("2015-01-13", "42017")} == {"2015-01-13"}


@pytest.mark.parametrize(
    ("name", "table", "separator", "column", "cell"),
    [
        ("rsna", "train.csv", ",", "cancer", "2"),
        ("rsna", "train.csv", ",", "biopsy", "perhaps"),
        ("rsna", "train.csv", ",", "BIRADS", "recalled"),
        ("rsna", "train.csv", ",", "BIRADS", "#N/A"),  # a spreadsheet's failed look-up
        ("csaw-cc", "CSAW-CC_breast_cancer_screening_data.csv", ",", "rad_recall", "#N/A"),
        ("rsna", "train.csv", ",", "laterality", "both"),
        ("csaw-cc", "CSAW-CC_breast_cancer_screening_data.csv", ",", "x_case", "ja"),
        ("csaw-cc", "CSAW-CC_breast_cancer_screening_data.csv", ",", "rad_recall", "maybe"),
        ("csaw-cc", "CSAW-CC_breast_cancer_screening_data.csv", ",", "rad_timing", "4"),
        ("csaw-cc", "CSAW-CC_breast_cancer_screening_data.csv", ",", "x_cancer_laterality", "Left; Right"),
        ("vindr", "breast-level_annotations.csv", ",", "breast_birads", "BI-RADS 2/4"),
        ("vindr", "breast-level_annotations.csv", ",", "split", "holdout"),
        ("inbreast", "INbreast.csv", ";", "Bi-Rads", "2 or 4"),
        ("cbis-ddsm", "mass_case_description_test_set.csv", ",", "pathology", "MALIGN"),
        ("embed", CLINICAL, ",", "study_date_anon", "spring 2015"),
        ("embed", CLINICAL, ",", "path_severity", "0,0"),
        ("embed", CLINICAL, ",", "path_severity", "none found"),
        ("embed", CLINICAL, ",", "side", "LT"),
        ("embed", "tables/EMBED_OpenData_metadata.csv", ",", "FinalImageType", "2-D"),
        ("embed", "tables/EMBED_OpenData_metadata.csv", ",", "spot_mag", "perhaps"),
        ("embed", CLINICAL, ",", "bside", "?"),
        ("embed", CLINICAL, ",", "asses", "negative"),
        ("nlbs", "NLBSP-metadata.csv", ",", "Cancer", "2"),
        ("nlbs", "NLBSP-metadata.csv", ",", "False Positive", "perhaps"),
    ],
)
def test_a_cell_that_is_not_understood_leaves_out_the_woman_and_is_counted(
    name: str, table: str, separator: str, column: str, cell: str, tmp_path: Path
) -> None:
    made, out = WRITERS[name](tmp_path / "archive"), tmp_path / "labels.csv"
    first = True

    def change(row: dict[str, str]) -> None:
        nonlocal first
        if first:
            row[column], first = cell, False

    rewritten(made.root / table, change, separator)
    report = scanned(made.root, out, Selection(allow_film=name == "cbis-ddsm", repeats="all"))
    found = outcome(made.root, out)
    changed = {path: word for path, word in found.items() if word != made.expected[path] != "repeated_view"}
    assert changed and set(changed.values()) == {"unknown_cell"}
    details = {row["detail"] for row in rows_of(tmp_path / "labels.excluded.csv") if row["reason"] == "unknown_cell"}
    plain = column.lower().replace(" ", "_").replace("-", "_")
    assert any(detail.startswith(f"{plain}: ") for detail in details), details
    said = list(report.lines())
    assert any("left out: unknown_cell, a cell about her in the tables is not understood" in line for line in said)
    assert any(f": {plain}: " in line for line in said)


def test_a_breast_of_cmmd_whose_side_or_finding_is_not_understood_is_left_out(tmp_path: Path) -> None:
    for column, cell in (("classification", "malignant?"), ("LeftRight", "B")):
        made = WRITERS["cmmd"](tmp_path / column)
        made = Miniature(made.root, made.expected)
        book = next(made.root.rglob("*.xlsx"))
        from mammogan.data.archives.tables import open_table

        table = open_table(book)
        rows = [dict(row) for row in table.rows()]
        rows[0][column.lower()] = cell
        book.unlink()
        made.table("again.csv", list(rows[0]), [list(row.values()) for row in rows])
        scanned(made.root, tmp_path / f"{column}.csv")
        found = outcome(made.root, tmp_path / f"{column}.csv")
        found = {path: word for path, word in found.items() if word != made.expected[path]}
        assert found and set(found.values()) == {"unknown_cell"}


def test_a_file_of_a_client_that_cannot_be_read_leaves_her_out_for_that_reason(tmp_path: Path) -> None:
    made, out = omi_db.write(tmp_path / "archive"), tmp_path / "labels.csv"
    (made.root / "data/optm1/nbss_optm1.json").write_text('{"Label": "optm1", ')
    (made.root / "data/optm2/imagedb_optm2.json").write_bytes(b"\xff")
    held = json.loads((made.root / "data/optm3/nbss_optm3.json").read_text())
    held["1"]["SURGERY"]["right_opinion"] = "see letter"
    (made.root / "data/optm3/nbss_optm3.json").write_text(json.dumps(held))
    scanned(made.root, out, Selection(Policy(interval="positive")))
    found = {path: word for path, word in outcome(made.root, out).items() if word == "unknown_cell"}
    assert {Path(path).parts[1] for path in found} == {"optm1", "optm2", "optm3"}
    details = {row["detail"] for row in rows_of(tmp_path / "labels.excluded.csv") if row["reason"] == "unknown_cell"}
    assert {"nbss_optm1.json cannot be read", "imagedb_optm2.json cannot be read"} <= details
    assert "SURGERY: a text of 10 characters" in details


@pytest.mark.parametrize(
    ("name", "table", "column"), [("rsna", "train.csv", "patient_id"), ("embed", CLINICAL, "empi_anon")]
)
def test_identifiers_that_a_spreadsheet_rounded_are_refused(name: str, table: str, column: str, tmp_path: Path) -> None:
    made = WRITERS[name](tmp_path / "archive")
    rewritten(made.root / table, lambda row: row.update({column: "1.23457E+12"}))
    with pytest.raises(UserError, match=f"{column}: expected an identifier, found a number that a spreadsheet has"):
        scanned(made.root, tmp_path / "labels.csv")


@pytest.mark.parametrize("columns", [("patient_id",), ("image_id",), ("patient_id", "image_id")])
def test_identifiers_with_decimals_are_the_ones_of_the_files(columns: tuple[str, ...], tmp_path: Path) -> None:
    made = WRITERS["rsna"](tmp_path / "archive")
    rewritten(made.root / "train.csv", lambda row: row.update({name: f"{row[name]}.0" for name in columns}))
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected
    assert "rsna:10" in {row["patient"] for row in rows_of(tmp_path / "labels.csv")}


def test_cells_before_which_a_row_ends_are_not_taken_for_empty_ones(tmp_path: Path) -> None:
    made = embed.write(tmp_path / "archive")
    table = made.root / CLINICAL
    lines = table.read_text().splitlines()
    biopsy = next(number for number, line in enumerate(lines) if line.startswith("3,32"))
    lines[biopsy] = ",".join(lines[biopsy].split(",")[:4])
    table.write_text("\n".join(lines))
    scanned(made.root, tmp_path / "labels.csv")
    found = outcome(made.root, tmp_path / "labels.csv")
    assert {found[path] for path in found if Path(path).parts[2] == "3"} == {"unknown_cell"}


@pytest.mark.parametrize("day", ["1900-01-01", "9999-12-31", "1/1/1753"])
def test_a_day_that_stands_for_an_unknown_one_is_not_understood(day: str) -> None:
    assert days_of([day, "2015-01-20"], "day")[day] is None


@pytest.mark.parametrize(
    ("name", "table", "column"),
    [
        ("rsna", "train.csv", "biopsy"),
        ("rsna", "train.csv", "BIRADS"),
        ("csaw-cc", "CSAW-CC_breast_cancer_screening_data.csv", "rad_recall"),
        ("embed", CLINICAL, "bside"),
        ("embed", CLINICAL, "study_date_anon"),
        ("embed", "tables/EMBED_OpenData_metadata.csv", "spot_mag"),
    ],
)
def test_a_missing_column_that_decides_labels_is_refused_by_name(
    name: str, table: str, column: str, tmp_path: Path
) -> None:
    made = WRITERS[name](tmp_path / "archive")
    path = made.root / table
    header, _, rows = path.read_text().partition("\n")
    path.write_text(header.replace(column, f"{column}_2") + "\n" + rows)
    with pytest.raises(UserError, match=f"expected the column {column.lower()} too, which decides labels"):
        scanned(made.root, tmp_path / "labels.csv")


def test_a_woman_whom_two_tables_of_an_archive_spell_differently_is_not_lost(tmp_path: Path) -> None:
    made = embed.write(tmp_path / "archive")
    rewritten(made.root / CLINICAL, lambda row: row.update(empi_anon=f"0{row['empi_anon']}"))
    with pytest.raises(UserError, match=r"expected one spelling for each patient, found .* with two"):
        scanned(made.root, tmp_path / "labels.csv")


@pytest.mark.parametrize(
    "event",
    [
        *([{"left_opinion": "OM"}], {"OpinionL": "OM"}, {"left_opinion": ["OM"]}, {"left_opinion": 0}),
        *({"left_opinon": "OM", "right_opinion": None}, {"right_opinion": None, "opinions": {"Left": "B5"}}),
        {"left_opinion": None, "right_opinion": None, "L": {"7": {"Opinion": "B5"}}},
    ],
)
def test_an_opinion_in_another_form_is_not_taken_for_none(event: object, tmp_path: Path) -> None:
    made = omi_db.write(tmp_path / "archive")
    path = made.root / "data/optm1/nbss_optm1.json"
    held = json.loads(path.read_text())
    held["2"]["BIOPSYWIDE"] = event
    path.write_text(json.dumps(held))
    scanned(made.root, tmp_path / "labels.csv")
    found = outcome(made.root, tmp_path / "labels.csv")
    assert {found[path] for path in made.labels if "optm1" in path} == {"unknown_cell"}


def test_an_interval_cancer_is_one_in_other_words_too(tmp_path: Path) -> None:
    made = omi_db.write(tmp_path / "archive")
    path = made.root / "data/optm4/nbss_optm4.json"
    path.write_text(path.read_text().replace('"CI"', '"Interval cancer"'))
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


@pytest.mark.parametrize("kind", [["CI"], {"Code": "CI"}, "IC", 7])
def test_a_kind_of_episode_that_is_not_understood_is_not_taken_for_screening(kind: object, tmp_path: Path) -> None:
    made = omi_db.write(tmp_path / "archive")
    path = made.root / "data/optm4/nbss_optm4.json"
    path.write_text(path.read_text().replace('"CI"', json.dumps(kind)))
    scanned(made.root, tmp_path / "labels.csv")
    found = outcome(made.root, tmp_path / "labels.csv")
    assert {word for path, word in found.items() if "optm4" in path} == {"unknown_cell", "for_processing"}
    details = {row["detail"] for row in rows_of(tmp_path / "labels.excluded.csv") if row["reason"] == "unknown_cell"}
    assert len(details) == 1 and details.pop().startswith("EpisodeType: a text of ")


@pytest.mark.parametrize("kind", [None, "", "f", " R ", "CA", "Routine Recall", "X"])
def test_an_episode_of_another_known_kind_or_of_none_is_screening(kind: object, tmp_path: Path) -> None:
    made = omi_db.write(tmp_path / "archive")
    path = made.root / "data/optm2/nbss_optm2.json"
    path.write_text(path.read_text().replace('"R"', json.dumps(kind)))
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


def test_a_row_with_surplus_cells_is_refused_by_the_scan_too(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    made.image("a.dcm", "negative")
    made.table("mine.csv", ("path", "patient", "label"), [("a.dcm", "Doe", "Jane", "negative")])
    with pytest.raises(UserError, match=r"mine\.csv: line 2: expected as many cells as the header has, found 1 more"):
        scanned(made.root, tmp_path / "labels.csv")


@pytest.mark.parametrize(
    ("first", "second", "label"),
    [
        ("BENIGN", "", "no_label"),
        ("", "BENIGN_WITHOUT_CALLBACK", "no_label"),
        ("", "MALIGNANT", "positive"),
        ("BENIGN", "BENIGN_WITHOUT_CALLBACK", "negative"),
    ],
)
def test_a_film_of_a_benign_abnormality_and_one_without_a_pathology_is_not_benign(
    first: str, second: str, label: str, tmp_path: Path
) -> None:
    made, out = WRITERS["cbis-ddsm"](tmp_path / "archive"), tmp_path / "labels.csv"
    film = next(path for path in made.expected if "Mass-Training_P_00001_LEFT_CC/" in path)
    words = [first, second]

    def change(row: dict[str, str]) -> None:
        if row["patient_id"] == "P_00001":
            row["pathology"] = words.pop(0) if row["image view"] == "CC" else "BENIGN"

    rewritten(made.root / "mass_case_description_train_set.csv", change)
    scanned(made.root, out, Selection(allow_film=True, policy=Policy(benign="negative")))
    assert outcome(made.root, out)[film] == label and not words
