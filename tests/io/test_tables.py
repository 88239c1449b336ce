"""Tables of any origin are read alike, and a table that this package writes runs nothing in a spreadsheet."""

from __future__ import annotations

import csv
import re
import stat
import zipfile
from pathlib import Path

import pytest
from archives.cmmd import write_workbook
from archives.workbooks import write_sheets
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from mammogan.data.archives.tables import open_table
from mammogan.errors import UserError
from mammogan.io import tables
from mammogan.io.atomic import PRIVATE
from mammogan.io.workbook import other_sheets, workbook_rows


def read(path: Path) -> list[tuple[int, list[str]]]:
    return [(line.number, list(line.cells)) for line in tables.read_lines(path)]


@pytest.mark.parametrize("declared", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n"])
def test_a_first_line_that_declares_the_separator_is_no_header(tmp_path: Path, declared: str) -> None:
    (tmp_path / "a.csv").write_text(f'{declared}path;note\na,b.dcm;"x\ny"\n\nc.dcm;z\n', newline="")
    assert read(tmp_path / "a.csv") == [
        (2, ["path", "note"]),
        (3, ["a,b.dcm", "x\ny"]),
        (6, ["c.dcm", "z"]),
    ]


def test_surplus_cells_are_seen_and_empty_ones_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2,,\n1,2,3\n1\n")
    lines = list(tables.read_lines(tmp_path / "a.csv"))
    assert [tables.surplus(line, 2) for line in lines] == [0, 0, 1, 0]
    assert [list(line.cells) for line in lines[1:]] == [["1", "2"], ["1", "2", "3"], ["1"]]


def test_two_columns_of_one_name_must_agree(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,a\n1,2,1\n1,2,3\n")
    header, same, other = tables.read_lines(tmp_path / "a.csv")
    assert tables.row_of(header.cells, same) == {"a": "1", "b": "2"}
    with pytest.raises(UserError, match="line 3: column a is there twice and differs"):
        tables.row_of(header.cells, other)


def test_the_encoding_is_found_out_from_all_bytes(tmp_path: Path) -> None:
    late = "a,b\n" + "x,y\n" * 20_000 + "Müller,é\n"
    for encoding in ("utf-8", "cp1252", "utf-16"):
        (tmp_path / "a.csv").write_text(late, encoding=encoding)
        *_, last = tables.read_lines(tmp_path / "a.csv")
        assert list(last.cells) == ["Müller", "é"]
    (tmp_path / "a.csv").write_bytes(b"a,b\n\x81\x8d\xff,1\n")
    with pytest.raises(tables.NotText, match="bytes that are no text; save the table as 'CSV UTF-8'"):
        read(tmp_path / "a.csv")


def test_what_a_workbook_does_not_say_is_never_an_empty_cell(tmp_path: Path) -> None:
    book = tmp_path / "a.xlsx"
    cells = '<c t="e"><v>#N/A</v></c><c><f>A1+1</f></c><c t="str"><f>IF(1,"")</f><v></v></c><c><f>1+1</f><v>2</v></c>'
    rows = f"<row>{cells}</row>"
    with zipfile.ZipFile(book, "w") as file:
        file.writestr("xl/worksheets/sheet1.xml", f"<worksheet><sheetData>{rows}</sheetData></worksheet>")
    assert list(workbook_rows(book)) == [["error #N/A", "a formula without its result", "", "2"]]
    merged = '<mergeCells><mergeCell ref="B2:B3"/></mergeCells>'
    with zipfile.ZipFile(book, "w") as file:
        file.writestr("xl/worksheets/sheet1.xml", f"<worksheet><sheetData>{rows}</sheetData>{merged}</worksheet>")
    with pytest.raises(ValueError, match="B2:B3 are merged over several rows"):
        list(workbook_rows(book))


def book_of(folder: Path, row: str) -> Path:
    """A workbook with a header and one row below two empty ones, two texts in its list of texts, and styles."""
    head = '<row r="1"><c t="s"><v>0</v></c><c t="s"><v>1</v></c></row>'
    members = {
        "xl/sharedStrings.xml": "<sst><si><t>ID1</t></si><si><t>Age</t></si></sst>",
        "xl/worksheets/sheet1.xml": f"<worksheet><sheetData>{head}<row r='4'>{row}</row></sheetData></worksheet>",
        "xl/styles.xml": '<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
    }
    with zipfile.ZipFile(folder / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return folder / "a.xlsx"


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ('<c t="s"><v>2</v></c>', "a cell whose text is not in the workbook's list of texts"),
        ('<c t="s"><v>-1</v></c>', "a cell whose text is not in the workbook's list of texts"),
        ('<c t="s"><v>x</v></c>', "a cell whose text is not in the workbook's list of texts"),
        ('<c r="ZZZZZZ2"><v>1</v></c>', "a cell beyond XFD, the last column"),
        ('<c r="XFE2"><v>1</v></c>', "a cell beyond XFD, the last column"),
        ('<c s="1"><v>nan</v></c>', "a day that is no number"),
        ('<c s="1"><v>soon</v></c>', "a day that is no number"),
    ],
)
def test_a_cell_that_no_workbook_has_is_damage_and_its_row_is_named(tmp_path: Path, cell: str, told: str) -> None:
    book = book_of(tmp_path, cell)
    with pytest.raises(UserError, match=f"a.xlsx is damaged: row 4 has {told}. Copy the file again"):
        next(workbook_rows(book))
    with pytest.raises(UserError, match=r"a file that is no table .*row 4 has"):
        open_table(book)


def test_the_last_column_is_read_and_a_day_that_does_not_exist_stays_a_number(tmp_path: Path) -> None:
    head, row = workbook_rows(book_of(tmp_path, '<c r="XFD2" s="1"><v>1E+300</v></c>'))
    assert head == ["ID1", "Age"] and len(row) == 16384 and row[-1] == "1E+300"


def flagged(content: bytes, signature: bytes, at: int, value: int) -> bytes:
    """A zip file in whose headers of a kind one byte is another."""
    changed = bytearray(content)
    for match in re.finditer(re.escape(signature), content):
        changed[match.start() + at] = value
    return bytes(changed)


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


@pytest.mark.parametrize("fault", ["a bad copy", "cut off", "a password", "encrypted members", "an unknown packing"])
def test_a_damaged_and_an_encrypted_workbook_are_refused_with_the_reason(tmp_path: Path, fault: str) -> None:
    book = book_of(tmp_path, "")
    sound = book.read_bytes()
    with zipfile.ZipFile(book) as file:
        sheet = file.getinfo("xl/worksheets/sheet1.xml")
    begins = sheet.header_offset + 30 + len(sheet.filename)
    changed = {
        "a bad copy": sound[: begins + 5] + bytes([sound[begins + 5] ^ 0xFF]) + sound[begins + 6 :],
        "cut off": sound[: len(sound) // 2],
        "a password": bytes.fromhex("d0cf11e0a1b11ae1") + sound[8:] + bytes(70_000),
        "encrypted members": flagged(flagged(sound, LOCAL, 6, 1), CENTRAL, 8, 1),
        "an unknown packing": flagged(sound, CENTRAL, 10, 99),
    }
    told = {
        "a bad copy": r"a.xlsx: xl/worksheets/sheet1.xml is damaged \(.*\). Copy the file again",
        "cut off": "a.xlsx is no .xlsx workbook: File is not a zip file",
        "a password": "a.xlsx has a password, or is an old .xls workbook. Save it as .xlsx without",
        "encrypted members": "a.xlsx: xl/sharedStrings.xml is encrypted. Save it as .xlsx without a password",
        "an unknown packing": "a.xlsx: xl/sharedStrings.xml is packed in a way that is not read here",
    }
    book.write_bytes(changed[fault])
    with pytest.raises(UserError, match=f"a file that is no table .*{told[fault]}"):
        open_table(book)


def test_a_workbook_without_a_sheet_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(UserError, match="it has no sheet"):
        open_table(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    "other", ["path patient label/ b 2 negative", "LABEL patient/b 2", "/path label age patient/b"]
)
def test_a_table_that_goes_on_on_another_sheet_is_refused(other: str, tmp_path: Path) -> None:
    book = write_sheets(tmp_path / "a.xlsx", "path patient label/a 1 positive", "", other)
    with pytest.raises(UserError, match="expected one sheet with these columns, found 2, of which only one would be"):
        list(workbook_rows(book))


@pytest.mark.parametrize(("other", "others"), [("", 0), ("/", 0), ("column meaning/path file", 1), ("label number", 1)])
def test_other_sheets_do_not_matter(other: str, others: int, tmp_path: Path) -> None:
    book = write_sheets(tmp_path / "a.xlsx", "path patient label/a 1 positive", other)
    assert list(workbook_rows(book)) == [["path", "patient", "label"], ["a", "1", "positive"]]
    assert other_sheets(book) == others and other_sheets(write_sheets(tmp_path / "b.xlsx", "a b")) == 0


def test_days_and_long_numbers_of_a_workbook_are_text_as_people_read_them(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", [("id", "day"), ("1", "2")])
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        members = {name: book.read(name) for name in book.namelist()}
    members["xl/styles.xml"] = (
        b'<styleSheet><numFmts><numFmt numFmtId="170" formatCode="yyyy\\-mm"/></numFmts>'
        b'<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="170"/></cellXfs></styleSheet>'
    )
    members[next(name for name in members if "sheet1" in name)] = (
        b'<worksheet><sheetData><row><c r="A1"><v>1</v></c><c r="B1"><v>2</v></c><c r="C1"><v>3</v></c></row>'
        b'<row><c r="A2"><v>1.2345678901E+10</v></c><c r="B2" s="1"><v>42024</v></c>'
        b'<c r="C2" s="2"><v>42024.5</v></c>'
        b"</row></sheetData></worksheet>"
    )
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as book:
        for name, content in members.items():
            book.writestr(name, content)
    assert read(tmp_path / "a.xlsx")[1][1] == ["12345678901", "2015-01-20", "2015-01-20"]


FORMULAS = (
    *("=cmd|' /C calc'!A0", "+1+cmd|x", "-2+3+cmd|x", "@SUM(A1)", "\t=1"),
    *("a;=cmd|x", "x\n=1", "＝1", " =1", "'=1"),
)


def test_no_cell_that_is_written_runs_in_a_spreadsheet_and_each_is_read_back(tmp_path: Path) -> None:
    tables.write(tmp_path / "a.csv", ("cell", "n"), [(cell, 1) for cell in FORMULAS], PRIVATE)
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o600
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert not any(re.match(r"\s*[=+\-@＝]", part) for part in re.split("[;\t\n]", row["cell"])), row
    assert [row["cell"] for row in tables.read_own_csv(tmp_path / "a.csv")] == list(FORMULAS)


def test_numbers_and_paths_are_written_as_they_are() -> None:
    for cell in ("-1.5", "+3", "-1e-9", "a/b-c.dcm", "C:\\a", "x=1", "", "O'Neill", 1, -0.5, None):
        assert tables.escape_formula(cell) == cell


@given(st.text(alphabet="'=+-@;\t\r\n a1＝,\"", max_size=12))
def test_what_is_made_harmless_comes_back(cell: str) -> None:
    assert tables.unescape_formula(str(tables.escape_formula(cell))) == cell


def test_a_damaged_table_of_our_own_is_an_error_of_one_kind(tmp_path: Path) -> None:
    for content in (b"", b'a,b\n1,"2\n', b"a,b\n1\n", b"\xff\xff", b"a,b\n1,2,3\n"):
        (tmp_path / "a.csv").write_bytes(content)
        with pytest.raises(ValueError):
            tables.read_own_csv(tmp_path / "a.csv")


def test_a_table_of_zero_bytes_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(bytes(3000))
    with pytest.raises(ValueError, match=r"^table a.csv holds only zero bytes, as after a power loss$"):
        tables.read_own_csv(tmp_path / "a.csv")


def test_every_csv_of_the_package_goes_through_one_module() -> None:
    users = [
        path.name
        for path in (ROOT / "mammogan").rglob("*.py")
        if re.search(r"^\s*(import csv|from csv )", path.read_text(encoding="utf-8"), re.M)
    ]
    assert users == ["tables.py"]
