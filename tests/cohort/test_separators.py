"""Identifiers of one table that differ only in separators are probably one woman's: a warning, and no refusal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from archives.miniature import Miniature
from archives.scanning import scanned
from dicoms import breast, write_mammogram, write_table

from mammogan.data.cohort.separators import separator_warnings
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.workspace import Resolution, Workspace

SAID = "differ only in separators, such as 123-45-6789 and 123456789"


def warned(*patients: str) -> Sequence[str]:
    return separator_warnings(enumerate(patients, 2))


@pytest.mark.parametrize(
    "other",
    ["321-04-6789", "321.04.6789", "321_04_6789", "321/04/6789", "321\u201304\u20136789", "321-046789"],
)
def test_one_number_with_and_without_separators_is_warned_of(other: str) -> None:
    [warning] = [*warned("888888", other, "777777", "321046789")]
    assert warning.startswith("1 patient has") and SAID in warning and "lines 3 and 5 of the table" in warning
    assert "321" not in warning and "6789" not in warning.replace("123456789", "").replace("123-45-6789", "")


@pytest.mark.parametrize(
    "other",
    ["ROE, JANE", "ROE,JANE", "roe_jane", "JANE ROE", "Roe;Jane", "ROE-JANE^^^DR", "ROEJANE", "R&#79;E JANE"],
)
def test_a_name_as_two_programs_write_it_is_warned_of(other: str) -> None:
    [warning] = warned("ROE^JANE", "ROE^JOAN", other)
    assert "lines 2 and 4 of the table" in warning and "ROE" not in warning.upper()


def test_an_apostrophe_in_a_name_is_a_separator() -> None:
    assert len(warned("O'NEIL", "ONEIL")) == len(warned("O&#39;NEIL^ANN", "O NEIL ANN")) == 1


def test_other_separators_at_the_same_places_are_warned_of_and_patients_are_counted() -> None:
    assert len(warned("321 04 6789", "321-04-6789")) == len(warned("321.04.6789", "321-04-6789")) == 1
    [warning] = warned("P-0017", "A.0012", "P_0017", "a 0012", "A-0012", "P-0018")
    assert warning.startswith("2 patients have") and "lines 2 and 4 of the table are the first" in warning


@pytest.mark.parametrize(
    "honest",
    [
        ("1-1", "11", "1-11", "111"),  # the first number is that of a centre
        ("12-345", "123-45"),
        ("12-345", "123-45", "12345"),
        ("100.0", "1000"),
        ("P_00820", "P_00821"),
        ("5678", "5678"),
        ("DOE^JANE", "DOE^JOAN"),
        ("DOE^JANE", "DO^EJANE", "JANEDOE"),
        ("12-3456", "34-1256", "3456-12"),  # of numbers, the order counts
        ("100,0", "1000", "-100.0"),
        ("12-034", "1234"),
        ("AB12+", "AB12-"),
        ("\u0915\u093f\u0915\u0916\u0917\u0918", "\u0915\u093e\u0915\u0916\u0917\u0918"),  # vowels are no marks
    ],
)
def test_other_patients_are_not(honest: Sequence[str]) -> None:
    assert warned(*honest) == []


def test_the_conversion_and_the_scan_warn_once(tmp_path: Path) -> None:
    names = ["123-45-6789", "123456789", *(f"{number}00" for number in range(1, 7))]
    rows = []
    for number, name in enumerate(names):
        write_mammogram(tmp_path / "in" / f"{number}.dcm", breast(seed=number), PatientID=name)
        rows.append((f"{number}.dcm", name, "L", "CC", ("positive", "negative")[number % 2]))
    table = write_table(tmp_path / "in" / "mine.csv", rows)
    report = convert_cohort(table, Workspace(tmp_path / "work"), [Resolution(96, 96)], jobs=1)
    assert sum(SAID in line for line in report.lines()) == 1
    made = Miniature(tmp_path / "in")
    said = [line for line in scanned(made.root, tmp_path / "out.csv").lines() if SAID in line]
    assert len(said) == 1 and said[0].startswith("note: 1 patient has") and "lines 2 and 3 of the table" in said[0]
