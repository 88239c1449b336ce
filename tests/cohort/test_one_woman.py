"""One woman under two identifiers is noticed, and an identifier that many share says nothing."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from archives import cbis_ddsm, cmmd, rsna
from archives.miniature import Miniature
from archives.scanning import outcome, rows_of, scanned
from dicoms import COLUMNS, breast, listed, write_mammogram, write_table

from mammogan.data.archives.selection import Selection
from mammogan.data.cohort.identifiers import is_rounded, spelling_free
from mammogan.data.cohort.table import TableError, read_table
from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort, verify
from mammogan.data.inspect.same_women import same_women
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

MARKS = (
    *("#{}", "({})", "<{}>", "[{}]", "{};", "{},", "{}.", "{}*", "*{}", "{}|", "{}:", "+{}", "{}\\", "/{}", "`{}`"),
    *(
        "\u201c{}\u201d",
        "\u201e{}\u201c",
        "\u00ab{}\u00bb",
        "\u2039{}\u203a",
        "\u201a{}\u2018",
        "''{}''",
        "\uff08{}\uff09",
    ),
    *("\u300c{}\u300d", "\u2116 {}", "({});", "(#{})", "'({})'"),
)
SPELLINGS = [
    ("0100", "100"),
    ("100", "100.0"),
    ("AB1", "ab1"),
    ("A B", "A  B"),
    ("é1", "e\u03011"),
    ("MRN-7", "MRN-007"),
    ("MRN-7", "MRN\u20137"),
    ("1234", "1,234"),
    ("0100", "'0100"),
    ("100", '="0100"'),
    ("100", "\u202a100\u202c"),
    ("1234", "1,234.00"),
    ("1234567", "1.234.567,00"),
    ("1234", "1\u2019234"),
    ("A123", "\u0410123"),
    ("100", "100^^^HOSPITAL"),
    ("DOE^JANE", "Doe^Jane^^"),
    ("50001", "50001^4^M11^ADT1^MR"),
    ("MRN50001", "MRN50001^x^ISO^ADT1"),
    ("50001", "b'50001'"),
    ("50001", "'50001'"),
    ("50001", '"50001"'),
    ("50001", "['050001']"),
    ("6F9619FF-8B86-D011-B42D-00C04FC964FF", "{6f9619ff-8b86-d011-b42d-00c04fc964ff}"),
    *((f"50{number}01", mark.format(f"50{number}01")) for number, mark in enumerate(MARKS)),
    ("O'NEIL", "O&#39;NEIL"),
    ("O'NEIL", "O&amp;#39;NEIL"),
    ("O'NEIL", "O%27NEIL"),
    ("A B1", "A%20B1"),
    ("\u00c91", "&Eacute;1"),
    ("9E107D9D372BB682", "0x9E107D9D372BB682"),
    ("9E107D9D", "0X9e107d9d"),
]


@pytest.mark.parametrize("spellings", SPELLINGS)
def test_two_spellings_of_a_patient_are_refused_with_both_lines(spellings: tuple[str, str], tmp_path: Path) -> None:
    table = listed(tmp_path, [*spellings, "another", spellings[1]])
    with pytest.raises(TableError) as caught:
        read_table(table)
    said = str(caught.value)
    assert (
        "1 fault" in said
        and "line 3, patient: expected one spelling for each patient, found the patient of line 2" in said
    )
    assert "write her identifier alike in all rows" in said and spellings[0] not in said.replace("line 2", "")


def test_identifiers_that_differ_in_more_than_their_spelling_are_two_patients(tmp_path: Path) -> None:
    patients = ["100", "1000", "10", "a0b", "ab", "1.5", "15", "P_1", "P1"]
    patients += [
        "A-",
        "A+",
        "A",
        "-A",
        "(1)(2)",
        "<1>2",
        "50%",
        "50",
        "R&D",
        "RD",
        "1#2",
        "12",
        "-12",
        ".12",
        "%zz",
        "zz",
    ]
    patients += ["DOE^JANE", "DOE^JOAN", "12^1", "12^2", "b50001", "{1}{2}", "O'Neill", "ONeill"]
    patients += ["0x1234567", "1234567"]
    assert [row.patient for row in read_table(listed(tmp_path, patients))] == patients
    assert len({spelling_free(patient) for patient in patients}) == len(patients)


def test_digits_of_another_script_are_the_same_identifier() -> None:
    assert spelling_free("\u0661\u0660\u0660") == spelling_free("\u06f1\u06f0\u06f0") == spelling_free("100")


def test_a_rounded_identifier_is_refused_and_a_hash_is_not(tmp_path: Path) -> None:
    with pytest.raises(
        TableError, match=r"line 3, patient: .*a number that a spreadsheet has rounded, such as 1\.23457E"
    ):
        read_table(listed(tmp_path, ["1", "1.23457E+12"]))
    assert all(map(is_rounded, ("1.23457e+12", "1,23457E+12", "1E+15", "123456789012345000")))
    assert all(map(is_rounded, ("1.2345601E7", "12.345601e6", "1,5E7", "1.2345678E-5")))
    assert not any(map(is_rounded, ("1.2.3e5", "e1.5", "1e5", "7E-05")))
    assert not any(map(is_rounded, ("1234567890123e45", "12e10", "1.5", "100", "MRN+1", "12345678901234500")))


def test_a_scan_refuses_two_spellings_and_reads_decimals_away(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    for name in "ab":
        made.image(f"{name}.dcm", "negative")
    made.table("mine.csv", ("path", "patient", "label"), [("a.dcm", "0100", "negative"), ("b.dcm", "100", "negative")])
    with pytest.raises(UserError, match="1 patient has several spellings in the tables; one patient with two"):
        scanned(made.root, tmp_path / "labels.csv")
    made.table("mine.csv", ("path", "patient", "label"), [("a.dcm", "100.0", "negative"), ("b.dcm", "100", "negative")])
    scanned(made.root, tmp_path / "labels.csv", Selection(repeats="all"))
    assert {row["patient"] for row in rows_of(tmp_path / "labels.csv")} == {"100"}
    made.table("mine.csv", ("path", "patient", "label"), [("a.dcm", "1.2E+12", "negative"), ("b.dcm", "7", "negative")])
    with pytest.raises(
        UserError, match="patient: expected an identifier, found a number that a spreadsheet has rounded"
    ):
        scanned(made.root, tmp_path / "labels.csv", overwrite=True)


def test_two_spellings_are_refused_although_one_of_them_is_of_no_used_image(tmp_path: Path) -> None:
    made = rsna.write(tmp_path / "archive")
    table = made.root / "train.csv"
    table.write_text(table.read_text().replace("1,10,1000", "1,010,1000"))
    for name in ("10000", "10001"):  # the breast with cancer; the other one was negative by itself
        (made.root / f"train_images/10/{name}.dcm").unlink()
    table.write_text(table.read_text().replace("1,010,10002", "1,10,10002"))
    with pytest.raises(UserError, match="1 patient has several spellings in the tables"):
        scanned(made.root, tmp_path / "labels.csv")


def test_a_header_patient_under_two_patients_of_the_table_is_noted_and_a_constant_one_is_not(tmp_path: Path) -> None:
    made, rows = Miniature(tmp_path / "archive"), []
    for number in range(8):
        made.image(f"{number}.dcm", "negative", PatientID="MRN1" if number < 2 else f"MRN{number}")
        rows.append((f"{number}.dcm", str(number), "negative"))
    made.table("mine.csv", ("path", "patient", "label"), rows)
    said = "\n".join(scanned(made.root, tmp_path / "labels.csv").lines())
    assert "note: 1 PatientID stands in headers under two or three patients of the tables: the same women?" in said
    other, rows = Miniature(tmp_path / "constant"), []
    for number in range(8):
        other.image(f"{number}.dcm", "negative", PatientID="ANONYMOUS")
        rows.append((f"{number}.dcm", str(number), "negative"))
    other.table("mine.csv", ("path", "patient", "label"), rows)
    assert "PatientID" not in "\n".join(scanned(other.root, tmp_path / "other.csv").lines())


def test_two_patients_in_two_splits_whose_files_have_one_patient_id_are_warned_of(tmp_path: Path) -> None:
    rows = []
    for number in range(12):
        same = {"PatientID": " MRN-01" if number == 0 else "MRN-1" if number == 1 else f"MRN-{number}"}
        write_mammogram(tmp_path / f"{number}.dcm", breast(seed=number), **same)
        label, split = ("positive", "negative")[number % 2], ("train", "test", "validation")[number % 3]
        rows.append((f"{number}.dcm", str(number), "L", "CC", label, split))
    table = write_table(tmp_path / "labels.csv", rows, (*COLUMNS, "split"))
    work = Workspace(tmp_path / "work")
    report = convert_cohort(table, work, [Resolution(96, 96)], jobs=1)
    [warning] = report.warnings
    assert "are in test and train, and their files have one PatientID: one woman?" in warning and "MRN" not in warning
    assert f"WARNING: {warning}" in list(report.lines())
    assert list(same_women(ShardIndex.load(work.shards(Resolution(96, 96))))) == [warning]
    assert verify(work.shards(Resolution(96, 96))) == []


def test_one_uid_on_all_files_makes_no_copies_and_no_exam(tmp_path: Path) -> None:
    made, rows = Miniature(tmp_path / "archive"), []
    uids = {"SOPInstanceUID": "1.2.3", "StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5"}
    for number in range(24):
        made.image(f"{number}/a.dcm", "negative", **uids)
        rows.append((f"{number}/a.dcm", str(number // 2), "negative"))
    made.file("copy/a.dcm", "duplicate", (made.root / "3/a.dcm").read_bytes())
    rows.append(("copy/a.dcm", "1", "negative"))
    made.table("mine.csv", ("path", "patient", "label"), rows)
    report = scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected
    assert {row["study"] for row in rows_of(tmp_path / "labels.csv")} == {""}
    said = "\n".join(report.lines())
    assert said.count("SOPInstanceUID") == 1 and "in several files whose pixels differ, so it says nothing" in said


def change(made: Miniature, name: str, **elements: str) -> None:
    for path in made.root.rglob(name):
        header = pydicom.dcmread(path)
        header.update({keyword: value for keyword, value in elements.items() if keyword in header})
        header.save_as(path)


def test_one_series_uid_on_all_films_does_not_make_them_one_film(tmp_path: Path) -> None:
    made = cbis_ddsm.write(tmp_path / "archive")
    first = next(made.root.rglob("*full*/*.dcm"))
    change(made, "*full*/*.dcm", SeriesInstanceUID=pydicom.dcmread(first).SeriesInstanceUID)
    scanned(made.root, tmp_path / "labels.csv", Selection(allow_film=True))
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


def test_one_patient_id_on_all_files_does_not_outweigh_their_folders(tmp_path: Path) -> None:
    made = cmmd.write(tmp_path / "archive")
    change(made, "*.dcm", PatientID="D1-0001")
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


def test_one_study_uid_on_the_files_of_few_patients_does_not_make_their_exams_one(tmp_path: Path) -> None:
    made, rows = Miniature(tmp_path / "archive"), []
    for number in range(6):
        name = f"{number // 2}/{number % 2}/a.dcm"
        made.image(name, "negative", StudyInstanceUID="1.2.3.4")
        rows.append((name, str(number // 2), "negative"))
    made.table("mine.csv", ("path", "patient", "label"), rows)
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected
    assert {row["study"] for row in rows_of(tmp_path / "labels.csv")} == {"1.2.3.4"}  # they may be one woman


def test_a_breast_with_both_labels_in_one_exam_is_noted(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    for name, view, label in (("a.dcm", "CC", "negative"), ("b.dcm", "MLO", "positive")):
        made.image(name, label, view=view, StudyInstanceUID="1.2.9")
    rows = [(name, "1", label) for name, label in made.expected.items()]
    made.table("mine.csv", ("path", "patient", "label"), rows)
    said = "\n".join(scanned(made.root, tmp_path / "labels.csv").lines())
    assert "note: 1 breast is positive and negative in one exam" in said


def test_a_rounded_study_is_refused_and_a_failed_look_up_names_none(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    made.image("a.dcm", "negative")
    row, columns = ("a.dcm", "7", "L", "CC", "negative"), (*COLUMNS, "study")
    table = made.table("mine.csv", columns, [(*row, "4.40188E+12")])
    with pytest.raises(TableError, match=r"line 2, study: expected an identifier, found a number .* has rounded"):
        read_table(table)
    with pytest.raises(UserError, match=r"table mine\.csv, study: .* a spreadsheet has rounded"):
        scanned(made.root, tmp_path / "labels.csv")
    made.table("mine.csv", columns, [(*row, "#N/A")])
    scanned(made.root, tmp_path / "labels.csv")
    assert "#N/A" not in {row["study"] for row in rows_of(tmp_path / "labels.csv")}
