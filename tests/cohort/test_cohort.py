"""The cohort table: checked as a whole, and its rows under pseudonyms."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from conftest import run_script
from dicoms import COLUMNS, write_table

from mammogan.data.cohort.cohort import assign, write_cohort
from mammogan.data.cohort.identifiers import patient_of
from mammogan.data.cohort.pseudonyms import Pseudonyms, load_salt
from mammogan.data.cohort.table import Row, TableError, read_table
from mammogan.errors import UserError
from mammogan.io.atomic import replaced_atomically


def row(number: int, patient: str, label: str = "negative", split: str | None = None) -> Row:
    return Row(number, f"{number}.dcm", patient, "L", "CC", label, split, None)  # type: ignore[arg-type]


def rows_of(positive: int, negative: int) -> list[Row]:
    labels = ["positive"] * positive + ["negative"] * negative
    return [row(n, f"patient {n // 2}", labels[n // 2]) for n in range(2 * len(labels))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.dcm", "b.dcm", "c.dcm"):
        (tmp_path / name).touch()
    return tmp_path


def test_every_fault_of_a_table_is_in_one_error_and_no_patient_is_named(folder: Path) -> None:
    table = write_table(
        folder / "labels.csv",
        [
            ("a.dcm", "JANE", "left", "CC", "negative", ""),
            ("b.dcm", "", "L", "XCCL", "benign", "train"),
            ("jane/doe.dcm", "JANE", "L", "CC", "negative", "test"),
            ("c.dcm", "MARY", "R", "MLO", "positive", "holdout"),
            ("a.dcm", "MARY", "R", "MLO", "positive", "train"),
            ("a.dcm", "MARY", "R", "MLO", "positive", "test"),
        ],
        (*COLUMNS, "split"),
    )
    with pytest.raises(TableError) as caught:
        read_table(table)
    found = {(fault.line, fault.column) for fault in caught.value.faults}
    assert found == {
        (2, "laterality"),
        (3, "patient"),
        (3, "view"),
        (3, "label"),
        (4, "path"),
        (5, "split"),
        (7, "path"),
        (7, "split"),
    }
    text = str(caught.value)
    assert "line 2, laterality: expected L or R, found 'left'" in text
    assert "line 3, label: expected negative or positive, found 'benign'" in text
    assert "line 7, path: expected each file once, found the file of line 6" in text
    assert "jane" not in text.lower() and "mary" not in text.lower()


def test_of_many_faults_the_first_ten_are_shown_and_the_others_counted_by_column(folder: Path) -> None:
    rows = [("a.dcm", "x", "L", "CC", "malignant"), *[("b.dcm", "y", "left", "CC", "benign")] * 57]
    with pytest.raises(TableError) as caught:
        read_table(write_table(folder / "labels.csv", rows))
    first, *shown, last, _ = str(caught.value).splitlines()
    assert first == "labels.csv: 115 faults; nothing was written" and len(caught.value.faults) == 115
    assert len(shown) == 10 and shown[0] == "  line 2, label: expected negative or positive, found 'malignant'"
    assert last == "  and 105 more; faults by column: label 58, laterality 57"


def test_a_folder_in_the_place_of_the_table_is_reported_as_a_folder(folder: Path) -> None:
    with pytest.raises(UserError, match=r"expected a CSV file, found a folder; .*\n  mammogan scan"):
        read_table(folder)


def test_missing_columns_are_named_with_what_was_found(folder: Path) -> None:
    table = write_table(folder / "labels.csv", [("a.dcm", "x")], ("path", "PatientID"))
    with pytest.raises(UserError, match=r"patient, laterality, view, label missing.*found path, PatientID"):
        read_table(table)


def test_columns_are_known_whatever_their_capitals(folder: Path) -> None:
    names = ("Path", "PATIENT", "Laterality", "View", "Label", "Density", "label_SOURCE")
    table = write_table(folder / "labels.csv", [("a.dcm", "7", "L", "CC", "negative", "B", "biopsy")], names)
    [only] = read_table(table)
    assert (only.path, only.patient, only.density, only.label_source) == ("a.dcm", "7", "B", "biopsy")
    both = write_table(folder / "both.csv", [("a.dcm", "7", "L", "CC", "negative", "BI-RADS 1")], (*COLUMNS, "Label"))
    assert [row.label for row in read_table(both)] == ["negative"]
    for more in ("label", "path"):
        twice = write_table(folder / "twice.csv", [("a.dcm", "7", "L", "CC", "negative", "x")], (*COLUMNS, more))
        with pytest.raises(UserError, match=rf"twice\.csv: column {more} is there twice; which one counts\?"):
            read_table(twice)


def test_a_folder_in_the_place_of_a_file_is_called_one(folder: Path) -> None:
    (folder / "images").mkdir()
    rows = [("images", "x", "L", "CC", "negative"), ("gone", "x", "L", "CC", "negative")]
    with pytest.raises(TableError) as caught:
        read_table(write_table(folder / "labels.csv", rows))
    assert [fault.found for fault in caught.value.faults] == ["a folder", "no such file"]


def test_a_table_without_rows_or_without_a_file_is_an_error_that_says_so(folder: Path) -> None:
    with pytest.raises(UserError, match="at least one row"):
        read_table(write_table(folder / "labels.csv", []))
    with pytest.raises(UserError, match="no such file"):
        read_table(folder / "absent.csv")


def test_a_spreadsheets_byte_order_mark_and_spaces_do_no_harm(folder: Path) -> None:
    text = "path, patient,laterality,view,label\r\na.dcm, 7 ,L,CC,negative\r\n"
    (folder / "labels.csv").write_text(text, encoding="utf-8-sig", newline="")
    (only,) = read_table(folder / "labels.csv")
    assert (only.path, only.patient, only.line) == ("a.dcm", "7", 2)


SHIFTED = {
    "surplus cells": ("a.dcm,DOE, JANE,L,CC,negative", COLUMNS, "as many cells as the header has, found 1 more"),
    "no surplus, for a later cell is missing": (
        "a.dcm,DOE, JANE,L,CC,negative",
        (*COLUMNS, "density"),
        "each cell under its own header, found cells of other columns",
    ),
}


@pytest.mark.parametrize("case", SHIFTED)
def test_a_name_with_a_comma_that_shifts_its_row_is_the_rows_only_fault_and_is_not_quoted(
    folder: Path, case: str
) -> None:
    line, columns, message = SHIFTED[case]
    (folder / "labels.csv").write_text(f"{','.join(columns)}\n{line}\n")
    with pytest.raises(TableError) as caught:
        read_table(folder / "labels.csv")
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [(2, "row")]
    assert message in str(caught.value) and "quotes" in str(caught.value)
    assert "JANE" not in str(caught.value) and "DOE" not in str(caught.value)


def test_a_text_where_a_code_is_expected_is_not_quoted(folder: Path) -> None:
    note = "seen with DOE, JANE on Monday"
    table = write_table(folder / "labels.csv", [("a.dcm", "x", "L", "CC", note)])
    with pytest.raises(TableError, match="found a text of 29 characters") as caught:
        read_table(table)
    assert "JANE" not in str(caught.value)


@pytest.mark.parametrize("column", ["laterality", "label"])
def test_a_name_or_a_number_in_the_place_of_a_code_is_not_quoted(folder: Path, column: str) -> None:
    for text in ("DOE^JANE", "Jane Doe 1950-02-03", "MRN424242", "JD"):
        row = {"path": "a.dcm", "patient": "x", "laterality": "L", "view": "CC", "label": "negative"} | {column: text}
        table = write_table(folder / "labels.csv", [tuple(row.values())])
        with pytest.raises(TableError, match=f"found a text of {len(text)} characters") as caught:
            read_table(table)
        assert text not in str(caught.value)


def test_a_first_line_that_is_no_header_is_not_quoted(folder: Path) -> None:
    (folder / "labels.csv").write_text("a.dcm,JANE DOE,L,CC,negative\n")
    with pytest.raises(UserError, match="is it a header, with commas") as caught:
        read_table(folder / "labels.csv")
    assert "JANE" not in str(caught.value)


def test_a_comma_at_the_end_of_the_header_does_no_harm(folder: Path) -> None:
    (folder / "labels.csv").write_text(f"{','.join(COLUMNS)},\na.dcm,7,L,CC,negative,\nb.dcm,7,L,MLO,negative\n")
    assert [row.line for row in read_table(folder / "labels.csv")] == [2, 3]
    with open(folder / "labels.csv", "a") as file:
        file.write("c.dcm,8,L,CC,negative,,surplus\n")
    with pytest.raises(TableError, match="line 4, row: expected as many cells as the header has, found 1 more"):
        read_table(folder / "labels.csv")


def test_rows_are_counted_by_the_lines_that_a_text_editor_shows(folder: Path) -> None:
    header = ",".join((*COLUMNS, "remark"))
    lines = [header, "", 'a.dcm,7,L,CC,negative,"two', 'lines"', "b.dcm,7,L,MLO,negative,", "", "c.dcm,7,L,CC,benign,"]
    (folder / "labels.csv").write_text("\n".join(lines))
    with pytest.raises(TableError, match="line 7, label: expected negative or positive, found 'benign'"):
        read_table(folder / "labels.csv")
    (folder / "labels.csv").write_text("\n".join(lines[:-1]))
    assert [row.line for row in read_table(folder / "labels.csv")] == [3, 5]


def test_a_quote_that_is_never_closed_is_reported_with_the_first_line_of_its_row(folder: Path) -> None:
    rest = "b.dcm,7,L,CC,negative\n" * 10_000
    (folder / "labels.csv").write_text(f'{",".join(COLUMNS)}\na.dcm,"7,L,CC,negative\n{rest}')
    with pytest.raises(UserError, match=r"labels\.csv: line 2: .*is a quote left open\?"):
        read_table(folder / "labels.csv")


def test_a_path_that_no_file_system_takes_is_a_file_that_is_not_there(folder: Path) -> None:
    rows = [("a" * 300 + ".dcm", "x", "L", "CC", "negative"), ("b/" * 5000, "x", "L", "CC", "negative")]
    with pytest.raises(TableError) as caught:
        read_table(write_table(folder / "labels.csv", rows))
    assert [(fault.line, fault.found) for fault in caught.value.faults] == [(2, "no such file"), (3, "no such file")]


def test_when_no_file_is_there_the_message_mentions_the_disk(folder: Path) -> None:
    rows = [(f"gone/{n}.dcm", "x", "L", "CC", "negative") for n in range(12)]
    with pytest.raises(TableError, match=r"12 faults(.|\n)*none of the 12 files is there: is their disk mounted"):
        read_table(write_table(folder / "labels.csv", rows))
    with pytest.raises(TableError) as caught:
        read_table(write_table(folder / "labels.csv", [*rows, ("a.dcm", "y", "L", "CC", "negative")]))
    assert "disk" not in str(caught.value)


def test_a_split_column_must_be_filled_in_every_row(folder: Path) -> None:
    rows = [("a.dcm", "x", "L", "CC", "negative", "train"), ("b.dcm", "y", "L", "CC", "negative", "")]
    with pytest.raises(TableError, match="line 3, split: expected a value in every row or in none"):
        read_table(write_table(folder / "labels.csv", rows, (*COLUMNS, "split")))


def test_the_help_says_how_patients_are_divided_and_that_every_file_must_be_there() -> None:
    told = " ".join(run_script("shards/make_shards.py", "--help").stdout.replace("│", " ").split())
    assert "stratified" not in told and "divided 80/10/10, each by a hash of her own" in told
    assert "split (train|validation|test, in every row or in none)" in told
    assert "Every file of the table must be there when this starts: else nothing is written" in told


def test_the_tables_own_split_is_kept(folder: Path) -> None:
    rows = [row(2, "x", split="test"), row(3, "y", split="train")]
    assert [m.split for m in assign(rows, folder, Pseudonyms(b"s" * 16), seed=0)] == ["test", "train"]


def test_film_identifiers_that_hold_side_and_view_mean_one_patient() -> None:
    four = [f"Mass-Test_P_00820_{side}_{view}" for side in ("LEFT", "RIGHT") for view in ("CC", "MLO")]
    assert {patient_of(identifier) for identifier in four} == {"P_00820"}
    assert {patient_of(identifier.lower()) for identifier in four} == {"P_00820"}
    assert patient_of("UP_1234") == "UP_1234"
    assert patient_of("group_12_left_cc") == "group_12_left_cc"


def test_keys_are_pseudonyms_without_dots_that_only_the_salt_determines(tmp_path: Path) -> None:
    rows = rows_of(3, 3)
    names = Pseudonyms(load_salt(tmp_path / "private" / "salt"))
    again = Pseudonyms(load_salt(tmp_path / "private" / "salt"))
    keys = [m.key for m in assign(rows, tmp_path, names, 0)]
    assert keys == [m.key for m in assign(rows, tmp_path, again, 0)]
    assert keys != [m.key for m in assign(rows, tmp_path, Pseudonyms(b"another salt, long"), 0)]
    assert all(len(key) == 12 + 1 + 8 + 1 + 3 and "." not in key for key in keys)
    assert len(set(keys)) == len(rows)


def test_the_split_does_not_depend_on_the_salt(tmp_path: Path) -> None:
    rows = rows_of(10, 10)
    one, other = (assign(rows, tmp_path, Pseudonyms(salt * 16), 0) for salt in (b"a", b"b"))
    assert [m.split for m in one] == [m.split for m in other]


def test_the_salt_is_made_once_for_its_owner_only_and_a_short_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "private" / "salt"
    assert load_salt(path) == load_salt(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "short").write_text("abc")
    (tmp_path / "short").chmod(0o600)
    with pytest.raises(UserError, match="at least 16 bytes"):
        load_salt(tmp_path / "short")


def test_a_private_file_is_its_owners_from_its_first_byte(tmp_path: Path) -> None:
    with replaced_atomically(tmp_path / "private.csv", 0o600) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        temporary.write_text("names")
    assert stat.S_IMODE((tmp_path / "private.csv").stat().st_mode) == 0o600
    assert (tmp_path / "private.csv").read_text() == "names"


def test_the_workspaces_table_is_its_owners_even_if_an_earlier_one_was_not(tmp_path: Path) -> None:
    path = tmp_path / "cohort.csv"
    path.touch(0o644)
    write_cohort(path, assign([row(2, "x", split="test")], tmp_path, Pseudonyms(b"s" * 16), seed=0))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
