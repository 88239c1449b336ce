"""What a scan reads out of words: views and sides, table cells, other people's CSV files and workbooks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from archives.cmmd import write_workbook
from dicoms import breast, write_mammogram
from hypothesis import given
from hypothesis import strategies as st

from mammogan.data.archives.folder import look_into
from mammogan.data.archives.header import read_header
from mammogan.data.archives.labels import Basis, finding_of_birads
from mammogan.data.archives.scan import scan
from mammogan.data.archives.tables import density_of, number, open_table, plain, tail
from mammogan.data.archives.views import clues_in_name, laterality_in, laterality_of_orientation, view_in, view_meant
from mammogan.errors import UserError


@pytest.mark.parametrize(
    ("text", "side", "view"),
    [
        ("RIGHT CC", "R", "CC"),
        ("LMLO", "L", "MLO"),
        ("lml", "L", "ML"),
        ("LMO", "", "LMO"),
        ("LM", "", "LM"),
        ("L XCCL", "L", "XCCL"),
        ("R CC & L CC", "", "CC"),
        ("L CC/MLO", "L", ""),
        ("full mammogram images", "", ""),
        ("", "", ""),
    ],
)
def test_side_and_view_are_read_out_of_a_text_when_it_names_one(text: str, side: str, view: str) -> None:
    assert (laterality_in(text), view_in(text)) == (side, view)


@pytest.mark.parametrize(
    ("name", "clues"),
    [
        ("AllDICOMs/20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm", ("R", "CC")),
        ("00001_20990909_L_MLO_2.dcm", ("L", "MLO")),
        ("109430185503/left/CC/IM-0019-0002-0001.dcm", ("L", "CC")),
        ("L/1_CC.dcm", ("L", "CC")),
        ("ml/p1/1_L_CC.dcm", ("L", "CC")),  # initials
        ("AT/R/1_L_MLO.dcm", ("L", "MLO")),
        ("CC/1_CC_MLO.dcm", ("", "")),
        ("cc1cc2cc3cc4cc5c/1-1.dcm", ("", "")),  # a hash
        ("R/0001.dcm", ("", "")),  # a letter alone may be anything
        ("Meier_L/1_MLO.dcm", ("", "MLO")),  # initials
        ("Schulz R/1_MLO.dcm", ("", "MLO")),
        ("Meier_L/R/1_MLO.dcm", ("R", "MLO")),
        ("Meier_L/left/1_MLO.dcm", ("L", "MLO")),
        ("R_CC/1.dcm", ("R", "CC")),
        ("exam L MLO/1.dcm", ("L", "MLO")),
        ("2_L/1_MLO.dcm", ("L", "MLO")),
        ("left breast/1_MLO.dcm", ("L", "MLO")),
        ("scan_L_MLO_1.dcm", ("L", "MLO")),
    ],
)
def test_a_file_name_gives_a_side_only_where_it_gives_a_view(name: str, clues: tuple[str, str]) -> None:
    assert clues_in_name(name) == clues


@pytest.mark.parametrize(
    ("meaning", "view"),
    [
        ("medio-lateral oblique", "MLO"),
        ("Mediolateral Oblique View", "MLO"),
        ("MLO", "MLO"),
        ("left MLO", "MLO"),
        ("LMLO", "MLO"),
        ("Right breast cranio-caudal projection", "CC"),
        ("exaggerated cranio-caudal laterally", "XCCL"),
        ("MLO spot", ""),
        ("axillary tail", ""),
        ("CC and MLO", ""),
        ("view", ""),
    ],
)
def test_the_meaning_of_a_code_is_understood_in_words_and_in_letters(meaning: str, view: str) -> None:
    assert view_meant(meaning) == view


def test_orientations_that_are_none_say_nothing() -> None:
    assert laterality_of_orientation(("A", "FR")) == "L" and laterality_of_orientation(("P", "L")) == "R"
    for other in [("CC",), ("M", "LO"), ("A", "L"), ("P", "F"), ("", ""), ()]:
        assert laterality_of_orientation(other) == ""


@given(st.text())
def test_no_text_whatever_stops_a_scan(text: str) -> None:
    assert laterality_in(text) in ("", "L", "R")
    assert isinstance(view_in(text), str) and isinstance(view_meant(text), str)
    assert density_of(text) in ("", "A", "B", "C", "D")
    assert isinstance(number(text), int | None) and isinstance(tail(text, 3), str) and isinstance(plain(text), str)


@pytest.mark.parametrize(
    ("category", "basis", "finding"),
    [
        ("BI-RADS 5", "birads5", "cancer"),
        ("4a", "birads5", "uncertain"),
        ("4a", "birads45", "cancer"),
        ("6", "birads5", "cancer"),
        ("5", "biopsy", "uncertain"),
        ("3", "birads45", "uncertain"),
        ("2", "birads5", "normal"),
        ("0", "birads5", "recalled"),
        ("", "birads5", "unknown"),
        ("BI-RADS 7", "birads5", "unknown"),
    ],
)
def test_birads_is_a_finding_by_the_basis_chosen(category: str, basis: Basis, finding: str) -> None:
    assert finding_of_birads(category, basis) == finding


def test_densities_come_as_letters_numbers_and_words() -> None:
    assert [density_of(cell) for cell in ("B", "2", "2.0", "DENSITY B", "b")] == ["B"] * 5
    assert [density_of(cell) for cell in ("", "5", "0", "dense", "nan")] == [""] * 5


@pytest.mark.parametrize(
    ("separator", "encoding"), [(",", "utf-8"), (";", "cp1252"), ("\t", "utf-8-sig"), (";", "utf-16")]
)
def test_a_table_is_read_whatever_its_separator_and_encoding(tmp_path: Path, separator: str, encoding: str) -> None:
    rows = (["File Name", "Bi-Rads ", "Größe"], [" 7 ", "4a", "ü"], ["", "", ""], ["8", "NaN"])
    (tmp_path / "a.csv").write_text("\r\n".join(map(separator.join, rows)), encoding=encoding)
    table = open_table(tmp_path / "a.csv")
    assert table.columns >= {"file_name", "bi_rads"}
    assert [(row["file_name"], row["bi_rads"]) for row in table.rows()] == [("7", "4a"), ("8", "")]


def test_a_workbook_keeps_cells_in_their_columns_and_a_wrong_one_is_no_table(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", [("ID1", "Age", "Sub type"), ("D1-1", "", "Luminal A"), ("D1-2", "44", "")])
    table = open_table(tmp_path / "a.xlsx")
    assert list(table.rows()) == [
        {"id1": "D1-1", "age": "", "sub_type": "Luminal A"},
        {"id1": "D1-2", "age": "44", "sub_type": ""},
    ]
    (tmp_path / "b.xlsx").write_bytes(b"PK no workbook")
    for name in ("b.xlsx", "absent.csv"):
        with pytest.raises(UserError, match=r"no such file|no table"):
            open_table(tmp_path / name)


def test_a_loop_of_links_is_walked_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.dcm").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [path.as_posix() for path in look_into(tmp_path).images] == ["a/1.dcm"]


def test_a_name_that_is_no_text_is_listed_and_left_out(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    write_mammogram(root / "a.dcm", breast())
    os.link(root / "a.dcm", os.fsencode(root) + b"/\xff.dcm")
    (root / "mine.csv").write_text("path,patient,cancer\na.dcm,1,0\n")
    report = scan(root, tmp_path / "labels.csv", jobs=1, seconds=None)
    assert report.excluded == {"bad_name": 1} and report.used == 1
    assert "\\udcff.dcm,bad_name" in (tmp_path / "labels.excluded.csv").read_text(encoding="utf-8")


def test_a_damaged_header_is_a_reason_and_no_exception(tmp_path: Path) -> None:
    whole = write_mammogram(tmp_path / "a.dcm", breast()).read_bytes()
    reasons = set()
    for cut in range(0, 1200, 7):
        (tmp_path / "b.dcm").write_bytes(whole[:cut] + b"\xff" * 40 + whole[cut + 40 :])
        reasons.add(read_header(tmp_path / "b.dcm").reason)
        (tmp_path / "c.dcm").write_bytes(whole[:cut])
        reasons.add(read_header(tmp_path / "c.dcm").reason)
        assert "force" not in read_header(tmp_path / "c.dcm").detail
    assert {"not_dicom", "truncated"} <= reasons
