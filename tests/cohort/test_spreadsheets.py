"""Identifiers that a spreadsheet made days of, or of which it kept 15 digits, are noticed by the others beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from archives.miniature import Miniature
from archives.scanning import scanned
from dicoms import listed

from mammogan.data.cohort.spreadsheets import changed_identifiers, rounding_warnings
from mammogan.data.cohort.table import TableError, read_table
from mammogan.errors import UserError

LONG = ["1234567890123456", "1234567890123457", "2234567890123451", "3234567890123459", "4234567890123452"]
CUT = [f"{number[:15]}0" for number in ("9934567890123456", *LONG[1:])]


@pytest.mark.parametrize("number", ["1-45", "1/3", "12.7", "1-1001"])
@pytest.mark.parametrize("day", ["01-Mar", "3-Jan", "Mar-45", "01. Mrz", "1-févr.", "2026-03-01", "clinic:01-Mar"])
def test_days_beside_numbers_of_centres_are_what_a_spreadsheet_made_of_others(day: str, number: str) -> None:
    assert list(changed_identifiers(["77", number, day])) == [day]


@pytest.mark.parametrize("other", ["MAR1", "DEC-1", "sept7", "APRIL2", "ABC12", "clinic:MAR1", "1MAR", "12ABC"])
@pytest.mark.parametrize("day", ["1-Mar", "12-Dec", "01. Mrz", "1-avr."])
def test_days_beside_letters_and_numbers_are_what_a_spreadsheet_made_of_others(day: str, other: str) -> None:
    assert list(changed_identifiers(["77", other, day])) == [day]


@pytest.mark.parametrize(
    ("other", "day"), [("MAR1", "2026-03-02"), ("2dec", "2026-12-12"), ("DEC2020", "Mar-21"), ("June-1999", "jun-98")]
)
def test_days_and_months_of_a_year_beside_names_of_months_are_too(day: str, other: str) -> None:
    assert list(changed_identifiers(["77", other, day])) == [day]


@pytest.mark.parametrize(
    "honest",
    [
        ("MAR1", "MAR-12", "DEC12", "ABC1"),
        ("1-MAR", "2-MAR", "1-ABC"),  # a number of a patient, and letters of a hospital
        ("ABC12", "1950-03-02", "Mar-21"),
        ("P1-MAR", "P001", "01-Mar"),
        ("MAR-01", "JAN-02", "ABC-03"),  # letters of a hospital
        ("1-1", "1-2", "12-45"),
        ("1-45", "AUG-1234", "MARY-01", "A-01-Mar", "1901-45"),
        tuple(LONG),
        ("1234567890123450", "2234567890123450", "3234567890123450"),  # too few to know
        ("123456789012340", "223456789012340", "323456789012340", "423456789012340", "523456789012340"),
        ("a234567890123450", "b234567890123450", "c234567890123450", "d234567890123450", "e234567890123450"),
    ],
)
def test_other_identifiers_are_as_somebody_gave_them(honest: tuple[str, ...]) -> None:
    assert changed_identifiers(honest) == {}


def test_a_table_with_such_days_is_refused_by_line_and_quotes_none(tmp_path: Path) -> None:
    with pytest.raises(TableError) as caught:
        read_table(listed(tmp_path, ["1-31", "04-Mar", "2-77", "04-Mar"]))
    said = str(caught.value)
    assert "1 fault" in said and "line 3, patient: expected an identifier, found a day such as 01-Mar" in said
    assert "take the table as it was before a spreadsheet read it" in said and "04-Mar" not in said


def test_long_numbers_that_all_end_in_zeros_are_refused_and_others_are_not(tmp_path: Path) -> None:
    assert set(changed_identifiers(CUT)) == set(changed_identifiers([*CUT, "77"])) == set(CUT)
    assert set(changed_identifiers([f"{number}0" for number in CUT])) == {f"{number}0" for number in CUT}
    assert changed_identifiers([*CUT, "1234567890123456"]) == {}
    with pytest.raises(TableError, match="5 faults") as caught:
        read_table(listed(tmp_path, CUT))
    assert "of which a spreadsheet kept 15 digits" in str(caught.value)
    assert "write a letter before each" in str(caught.value)


def test_a_scan_refuses_them_too(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    for name in "abc":
        made.image(f"{name}.dcm", "negative")
    rows = [("a.dcm", "1-31", "negative"), ("b.dcm", "01-Mar", "negative"), ("c.dcm", "Mar-45", "negative")]
    made.table("mine.csv", ("path", "patient", "label"), rows)
    with pytest.raises(UserError, match="2 identifiers of patients in the tables are each a day such as 01-Mar"):
        scanned(made.root, tmp_path / "labels.csv")


def test_a_number_in_full_and_rounded_is_warned_of(tmp_path: Path) -> None:
    [warning] = rounding_warnings(enumerate(["77", LONG[0], "78", f"{LONG[0][:15]}0", LONG[0]], 2))
    assert warning.startswith("1 patient has") and "lines 3 and 5 of the table" in warning
    assert "12345" not in warning
    [warning] = rounding_warnings(enumerate([*LONG[1:], *CUT[1:]], 2))
    assert warning.startswith("4 patients have") and "lines 2 and 6 of the table are the first" in warning
    made = Miniature(tmp_path / "archive")
    for name in "ab":
        made.image(f"{name}.dcm", "negative")
    rows = [("a.dcm", LONG[0], "negative"), ("b.dcm", f"{LONG[0][:15]}0", "negative")]
    made.table("mine.csv", ("path", "patient", "label"), rows)
    assert sum("has a spreadsheet" in line for line in scanned(made.root, tmp_path / "labels.csv").lines()) == 1


def test_numbers_that_follow_each_other_are_not_warned_of() -> None:
    assert rounding_warnings(enumerate([f"12345678901234{number}" for number in range(40, 70)], 2)) == []
    assert rounding_warnings(enumerate([*LONG, "100", "1000"], 2)) == []
