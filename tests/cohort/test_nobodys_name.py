"""A word that names nobody is no patient, and many women under one patient are noticed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from archives.miniature import Miniature
from archives.scanning import outcome, rows_of, scanned
from dicoms import breast, write_mammogram, write_table

from mammogan.data.archives.tables import NOTHING
from mammogan.data.cohort.identifiers import names_nobody
from mammogan.data.cohort.many_women import many_women
from mammogan.data.cohort.table import TableError, read_table
from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort
from mammogan.data.inspect.same_women import same_women
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

NOBODY = [
    *("nan", "NaN", "Anonymous", "ANONYMOUS^^", "Anonymous^Patient", "anonymized", "anonymised", "UNKNOWN", "unknown"),
    *("-", "--", "?", "...", "N/A", "n.a.", "#N/A", "<NA>", "none", "NULL", "xxx", "XXXXX", "test", "(missing)"),
    *("unbekannt", "an\u00f3nimo", "\uff35nknown", "not available"),
]
SOMEBODY = ["0", "000", "x", "X1", "test1", "anon-7", "W10", "unknown 3", "a", "NAN1", "P_1", "Anna", "x-x", "no", "7f"]
SAID = "have {} PatientIDs: several women, whose identifier is not known?"


@pytest.mark.parametrize("word", NOBODY)
def test_a_word_that_names_nobody_is_refused_with_its_lines_and_is_not_quoted(word: str, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.dcm").touch()
    rows = [("a.dcm", word), ("b.dcm", "W1"), ("c.dcm", word)]
    table = write_table(tmp_path / "labels.csv", [(*row, "L", "CC", "negative") for row in rows])
    with pytest.raises(TableError) as caught:
        read_table(table)
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [(2, "patient"), (4, "patient")]
    assert "expected an identifier, found a word or mark that names nobody" in str(caught.value)
    assert "would be one patient: give each of them one of her own, or take the rows away" in str(caught.value)


def test_identifiers_that_only_look_like_such_words_are_patients(tmp_path: Path) -> None:
    for word in SOMEBODY:
        (tmp_path / f"{word}.dcm").touch()
    kept = [word for word in SOMEBODY if word != "000"]  # another spelling of 0
    rows = [(f"{word}.dcm", word, "L", "CC", "negative") for word in kept]
    assert [row.patient for row in read_table(write_table(tmp_path / "labels.csv", rows))] == kept


def test_words_for_no_value_in_tables_of_archives_name_nobody_either() -> None:
    assert all(map(names_nobody, (*NOTHING, *NOBODY))) and not any(map(names_nobody, SOMEBODY))


def of_one_word(folder: Path, word: str, headers: Sequence[str], number: int, expected: str = "negative") -> Miniature:
    """One image for each PatientID of ``headers``; the first ``number`` are of patient ``word``."""
    made, rows = Miniature(folder), []
    for file, header in enumerate(headers):
        made.image(f"{file}.dcm", expected if file < number else "negative", PatientID=header)
        rows.append((f"{file}.dcm", word if file < number else f"W{file}", "negative"))
    made.table("mine.csv", ("path", "patient", "label"), rows)
    return made


@pytest.mark.parametrize("word", ["", "nan", "Anonymous", "UNKNOWN", "-", "xxx"])
def test_a_scan_leaves_out_the_images_of_a_word_as_those_of_an_empty_cell(word: str, tmp_path: Path) -> None:
    made = of_one_word(tmp_path / "archive", word, [f"MRN{n}" for n in range(8)], 5, "no_patient")
    said = "\n".join(scanned(made.root, tmp_path / "labels.csv").lines())
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected
    assert "5 left out: no_patient, no patient in the tables: an empty cell, or a word that names nobody" in said
    assert [row["patient"] for row in rows_of(tmp_path / "labels.csv")] == ["W5", "W6", "W7"]


def test_a_table_of_nobody_leaves_nothing_to_scan(tmp_path: Path) -> None:
    made = of_one_word(tmp_path / "archive", "unknown", [f"MRN{n}" for n in range(4)], 4)
    with pytest.raises(UserError, match="no_patient, no patient in the tables"):
        scanned(made.root, tmp_path / "labels.csv")


def test_a_scan_asks_of_a_patient_with_many_images_of_one_view_and_many_patient_ids(tmp_path: Path) -> None:
    made = of_one_word(tmp_path / "several", "0", [f"MRN{n}" for n in range(8)], 5)
    said = "\n".join(scanned(made.root, tmp_path / "several.csv").lines())
    assert f"note: 1 patient of the tables has many images of one view, whose headers {SAID.format(5)}" in said
    made = of_one_word(tmp_path / "one", "0", ["MRN0"] * 5 + ["MRN5", "MRN6"], 5)  # of five years
    assert "several women" not in "\n".join(scanned(made.root, tmp_path / "one.csv").lines())


def test_a_patient_id_that_names_nobody_does_not_make_two_patients_one_woman(tmp_path: Path) -> None:
    made = of_one_word(tmp_path / "archive", "W0", ["ANONYMOUS", "MRN1", "ANONYMOUS", "MRN3", "MRN4", "MRN5"], 1)
    assert "the same women?" not in "\n".join(scanned(made.root, tmp_path / "labels.csv").lines())


def files(patient: str, *headers: str) -> list[tuple[str, str, str]]:
    return [(patient, "LCC", header) for header in headers]


def test_patient_ids_that_change_within_most_patients_say_nothing() -> None:
    many, steady, changing = files("0", *"abcde"), files("1", "f", "f"), [*files("2", "g", "h"), *files("3", "i", "j")]
    assert many_women(many) == {"0": 5}
    assert many_women([*many, *steady]) == {"0": 5}
    assert many_women([*many, *changing]) == {} == many_women([*many, *steady, *changing])
    assert many_women(files("0", "", "", "", "", "")) == {}
    assert many_women(files("0", *"abc") * 2) == {}  # of three hospitals
    assert many_women(("0", view, view) for view in ("LCC", "LMLO", "RCC", "RMLO")) == {}


def test_many_women_under_one_patient_are_warned_of_by_her_pseudonym(tmp_path: Path) -> None:
    rows = []
    for number in range(16):
        write_mammogram(tmp_path / f"{number}.dcm", breast(seed=number), PatientID=f"MRN-{number}")
        patient = "0" if number < 6 else f"W{number}"
        rows.append((f"{number}.dcm", patient, "L", "CC", ("positive", "negative")[number % 2]))
    work = Workspace(tmp_path / "work")
    report = convert_cohort(write_table(tmp_path / "labels.csv", rows), work, [Resolution(96, 96)], jobs=1)
    [warning] = report.warnings
    assert f"has many images of one view, whose files {SAID.format(6)}" in warning and "MRN" not in warning
    assert list(same_women(ShardIndex.load(work.shards(Resolution(96, 96))))) == [warning]
