"""A cell of a workbook is read as a spreadsheet shows it: its text and nothing else, and its day."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mammogan.errors import UserError
from mammogan.io.workbook import other_sheets, workbook_rows

STYLES = '<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>'
READING = '<rPh sb="0" eb="2"><t>タナカ</t></rPh><phoneticPr fontId="1"/>'
RUNS = '<r><rPr><b/></rPr><t xml:space="preserve">MRN </t></r><r><t>7</t></r>'


def cells_of(folder: Path, cells: str, texts: str = "", properties: str = "", namespace: str = "") -> list[str]:
    """Return the cells of the only row of a workbook."""
    main = f' xmlns="{namespace}"' if namespace else ""
    with zipfile.ZipFile(folder / "a.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", f"<workbook{main}>{properties}</workbook>")
        book.writestr("xl/sharedStrings.xml", f"<sst{main}>{texts}</sst>")
        book.writestr("xl/styles.xml", STYLES)
        book.writestr("xl/worksheets/sheet1.xml", f"<worksheet{main}><row>{cells}</row></worksheet>")
    [row] = workbook_rows(folder / "a.xlsx")
    return list(row)


@pytest.mark.parametrize(
    "namespace", ["", "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "urn:of:another"]
)
@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (f"<t>田中</t>{READING}", "田中"),
        (f"<r><t>田</t></r><r><t>中</t></r>{READING}{READING}", "田中"),
        (f"<t/>{READING}", ""),
        (RUNS, "MRN 7"),
        ('<t>7</t><extLst><ext uri="x"><t>8</t></ext></extLst>', "7"),
        ("<t>M_x00FC_ller_x000D_\n1</t>", "Müller\r\n1"),
        ("<t>A_x005F_x0041_</t>", "A_x0041_"),
        ("<t>_xD83D__xDE00_</t>", "\U0001f600"),
        ("<t>P_x_1_x12__x0000_</t>", "P_x_1_x12__x0000_"),
    ],
)
def test_only_the_text_of_a_cell_is_read(tmp_path: Path, inside: str, text: str, namespace: str) -> None:
    cells = f'<c t="s"><v>0</v></c><c t="inlineStr"><is>{inside}</is></c><c><v>1</v></c>'
    assert cells_of(tmp_path, cells, f"<si>{inside}</si>", namespace=namespace) == [text, text, "1"]


def test_the_text_that_a_formula_gave_is_read_as_it_is_shown(tmp_path: Path) -> None:
    assert cells_of(tmp_path, '<c t="str"><f>A1&amp;"x"</f><v>A_x0031_</v></c>') == ["A1"]


def day(folder: Path, number: str, properties: str = "") -> str:
    [found] = cells_of(folder, f'<c s="1"><v>{number}</v></c>', properties=properties)
    return found


@pytest.mark.parametrize("flag", ["1", "true", "on"])
@pytest.mark.parametrize(
    ("number", "shown"), [("40562", "2015-01-20"), ("40562.75", "2015-01-20"), ("0", "1904-01-01"), ("-1", "-1")]
)
def test_a_workbook_that_counts_days_from_1904_is_read_so(tmp_path: Path, number: str, shown: str, flag: str) -> None:
    assert day(tmp_path, number, f'<workbookPr date1904="{flag}"/>') == shown


@pytest.mark.parametrize("flag", ["", '<workbookPr date1904="0"/>', '<workbookPr date1904="false"/>', "<workbookPr/>"])
@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("42024", "2015-01-20"),
        ("61", "1900-03-01"),
        ("60", "60"),  # 29 February 1900, which workbooks have and calendars do not
        ("59.5", "1900-02-28"),
        ("1", "1900-01-01"),
        ("0.5", "0.5"),  # a time
        ("-3", "-3"),
    ],
)
def test_other_workbooks_count_from_1900_with_a_day_that_never_was(
    tmp_path: Path, number: str, shown: str, flag: str
) -> None:
    assert day(tmp_path, number, flag) == shown


def test_a_workbook_whose_description_is_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no \.xlsx workbook"):
        day(tmp_path, "1", "<workbookPr")


def test_the_reading_of_a_name_does_not_make_two_columns_of_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as book:
        book.writestr("xl/sharedStrings.xml", f"<sst><si><t>田中</t>{READING}</si><si><t>田中</t></si></sst>")
        for number in (0, 1):
            row = f'<row><c t="s"><v>{number}</v></c></row>'
            book.writestr(f"xl/worksheets/sheet{number}.xml", f"<worksheet>{row}</worksheet>")
    assert other_sheets(tmp_path / "a.xlsx") == 1
    with pytest.raises(UserError, match="expected one sheet with these columns, found 2"):
        next(workbook_rows(tmp_path / "a.xlsx"))
