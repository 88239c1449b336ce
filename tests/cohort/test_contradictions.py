"""Tables and copies that say two things of one image: it is left out, for that reason, and says nothing of others."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from archives import omi_db
from archives.miniature import Miniature
from archives.scanning import WRITERS, outcome, rows_of, scanned

from mammogan.data.archives.selection import Selection
from mammogan.data.dicom.reasons import explained

TABLES = {
    "rsna": ("train.csv", ","),
    "csaw-cc": ("CSAW-CC_breast_cancer_screening_data.csv", ","),
    "vindr": ("breast-level_annotations.csv", ","),
    "inbreast": ("INbreast.csv", ";"),
    "nlbs": ("NLBSP-metadata.csv", ","),
    "embed": ("tables/EMBED_OpenData_metadata.csv", ","),
    "cbis-ddsm": ("mass_case_description_test_set.csv", ","),
    "csv": ("mine.csv", ","),
}
"""Each with a first row of the miniature's first image."""


def again(root: Path, name: str, separator: str, **changed: str) -> None:
    """Write the table's first row once more at its end, some of its cells changed; all rows where none is."""
    with open(root / name, newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file, delimiter=separator)
    more = rows
    if changed:
        cells = dict(zip(header, rows[0], strict=True))
        assert all(cells[column] != cell for column, cell in changed.items())
        more = [list((cells | changed).values())]
    with open(root / name, "a", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows(more)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Miniature]:
    return lambda name: WRITERS[name](tmp_path / "archive")


@pytest.mark.parametrize("name", TABLES)
def test_rows_that_are_there_twice_count_once(name: str, written: Callable[[str], Miniature], tmp_path: Path) -> None:
    made = written(name)
    again(made.root, *TABLES[name])
    scanned(made.root, tmp_path / "labels.csv", Selection(allow_film=name == "cbis-ddsm"))
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


@pytest.mark.parametrize(
    ("name", "changed", "differing"),
    [
        ("rsna", {"cancer": "0", "biopsy": "0", "BIRADS": "1"}, "finding"),
        ("rsna", {"laterality": "L"}, "side"),
        ("csaw-cc", {"anon_patientid": "00003"}, "patient, exam"),
        ("csaw-cc", {"x_case": "0"}, "finding"),
        ("vindr", {"split": "test"}, "split"),
        ("vindr", {"breast_birads": "BI-RADS 1"}, "finding"),
        ("inbreast", {"Bi-Rads": "1"}, "finding"),
        ("nlbs", {"Cancer": "0"}, "finding"),
        ("embed", {"ViewPosition": "MLO"}, "view"),
        ("embed", {"FinalImageType": "cview"}, "kind of image"),
        ("cbis-ddsm", {"left or right breast": "RIGHT"}, "side"),
        ("csv", {"label": "positive"}, "finding"),
        ("csv", {"patient": "another"}, "patient"),
    ],
)
def test_an_image_of_which_a_table_says_two_things_is_left_out_whichever_comes_last(
    name: str, changed: dict[str, str], differing: str, written: Callable[[str], Miniature], tmp_path: Path
) -> None:
    made, out = written(name), tmp_path / "labels.csv"
    again(made.root, *TABLES[name], **changed)
    report = scanned(made.root, out, Selection(allow_film=name == "cbis-ddsm", repeats="all"))
    image = next(iter(made.expected))
    assert made.expected[image] in ("positive", "negative")
    assert outcome(made.root, out)[image] == "table_conflict" and report.excluded["table_conflict"] == 1
    assert "  1 left out: table_conflict, the tables contradict each other about it" in list(report.lines())
    excluded = {row["reason"]: row["detail"] for row in rows_of(tmp_path / "labels.excluded.csv")}
    assert excluded["table_conflict"] == f"rows that differ in {differing}"


def test_a_cancer_in_doubt_does_not_make_a_case_of_the_woman(
    written: Callable[[str], Miniature], tmp_path: Path
) -> None:
    made, out = written("nlbs"), tmp_path / "labels.csv"
    cancer, other = list(made.expected)[:2]
    assert made.expected[cancer] == "positive" and made.expected[other] == "label_contralateral"
    again(made.root, *TABLES["nlbs"], Cancer="0")
    scanned(made.root, out)
    assert outcome(made.root, out)[other] == "negative"


def test_a_study_on_which_two_files_or_two_clients_disagree_is_left_out(tmp_path: Path) -> None:
    made, out = omi_db.write(tmp_path / "archive"), tmp_path / "labels.csv"
    folder = made.root / "data" / "optm1"
    copy = made.root / "older" / "optm1"
    copy.mkdir(parents=True)
    for name in ("nbss_optm1.json", "imagedb_optm1.json"):
        (copy / name).write_bytes((folder / name).read_bytes())
    scanned(made.root, out)
    assert outcome(made.root, out) == made.expected  # the same twice
    held = json.loads((copy / "nbss_optm1.json").read_text())
    held["2"]["BIOPSYWIDE"]["left_opinion"] = "OB"
    (copy / "nbss_optm1.json").write_text(json.dumps(held))
    clients = [made.root / "data" / client / f"imagedb_{client}.json" for client in ("optm2", "optm3")]
    studies = [json.loads(path.read_text()) for path in clients]
    studies[1]["STUDIES"] |= {"1.2.21": studies[0]["STUDIES"]["1.2.21"]}
    clients[1].write_text(json.dumps(studies[1]))
    report = scanned(made.root, out, overwrite=True)
    found = outcome(made.root, out)
    assert report.excluded["table_conflict"] == 3
    assert {Path(path).parts[1:3] for path, word in found.items() if word == "table_conflict"} == {
        ("optm1", "1.2.12"),
        ("optm2", "1.2.21"),
    }


def test_a_series_listed_for_two_films_is_left_out(tmp_path: Path, written: Callable[[str], Miniature]) -> None:
    made, out = written("cbis-ddsm"), tmp_path / "labels.csv"
    name, separator = TABLES["cbis-ddsm"]
    with open(made.root / name, newline="") as file:
        header, first, *_ = csv.reader(file)
    path = first[header.index("image file path")].replace("P_00000", "P_00999")
    again(made.root, name, separator, **{"patient_id": "P_00999", "image file path": path})
    scanned(made.root, out, Selection(allow_film=True))
    assert outcome(made.root, out) == made.expected | {next(iter(made.expected)): "table_conflict"}


def test_a_density_that_differs_is_not_known_and_the_image_is_used(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    made.image("a.dcm", "negative")
    rows = [("a.dcm", "1", "negative", "B"), ("./a.dcm", "1", "normal", "C")]
    made.table("mine.csv", ("path", "patient", "label", "density"), rows)
    scanned(made.root, tmp_path / "labels.csv")
    [row] = rows_of(tmp_path / "labels.csv")
    assert (row["label"], row["density"]) == ("negative", "")


def test_copies_of_a_file_under_another_patient_are_distinguished_from_plain_copies(tmp_path: Path) -> None:
    made, out = Miniature(tmp_path / "archive"), tmp_path / "labels.csv"
    first = made.image("a.dcm", "negative")
    made.file("b.dcm", "duplicate_conflict", first.read_bytes())
    made.file("c.dcm", "duplicate", first.read_bytes())
    rows = [("a.dcm", "1", "negative"), ("b.dcm", "2", "negative"), ("c.dcm", "1", "negative")]
    made.table("mine.csv", ("path", "patient", "label"), rows)
    report = scanned(made.root, out, Selection(repeats="all"))
    assert outcome(made.root, out) == made.expected
    assert f"  1 left out: duplicate_conflict, {explained('duplicate_conflict')}" in list(report.lines())
    details = {row["path"]: row["detail"] for row in rows_of(tmp_path / "labels.excluded.csv")}
    assert details["archive/b.dcm"] == "the pixels of a.dcm, which is used, of another patient"


@pytest.mark.parametrize("labels", [("negative", "positive", "negative"), ("positive", "negative", "negative")])
@pytest.mark.parametrize("patient", ["1", "2"])
def test_of_copies_of_a_file_with_both_labels_none_is_used(tmp_path: Path, labels: Sequence[str], patient: str) -> None:
    made, out = Miniature(tmp_path / "archive"), tmp_path / "labels.csv"
    first = made.image("a.dcm", "labels_conflict")
    for name in ("b.dcm", "c.dcm"):
        made.file(name, "labels_conflict", first.read_bytes())
    made.image("another.dcm", "positive", "R")
    rows = [
        *zip(("a.dcm", "b.dcm", "c.dcm"), ("1", patient, "1"), labels, strict=True),
        ("another.dcm", "3", "positive"),
    ]
    made.table("mine.csv", ("path", "patient", "label"), rows)
    report = scanned(made.root, out, Selection(repeats="all"))
    assert outcome(made.root, out) == made.expected
    assert f"  3 left out: labels_conflict, {explained('labels_conflict')}" in list(report.lines())
    details = {row["path"]: row["detail"] for row in rows_of(tmp_path / "labels.excluded.csv")}
    contrary = [name for name, label in zip(("a.dcm", "b.dcm", "c.dcm"), labels, strict=True) if label != labels[2]]
    assert details["archive/c.dcm"] == f"the pixels of {contrary[0]}, with the other label"
