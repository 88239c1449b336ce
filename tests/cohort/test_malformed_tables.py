"""Tables as spreadsheets and scripts leave them: used, or refused in one message before anything is written."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from dicoms import NAME, RECORD, write_cohort
from malformed import no_files

from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_cohort(tmp_path / "cohort")


def convert(table: Path, work: Path) -> Any:
    return convert_cohort(table, Workspace(work), [SIZE], jobs=1)


def workbook() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/worksheets/sheet1.xml", "<worksheet/>")
    return content.getvalue()


def changed(table: Path, name: str) -> bytes:
    """The table after one of the ways of the world."""
    text = table.read_text()
    header, first, *rest = text.splitlines()
    return {
        "byte order mark": b"\xef\xbb\xbf" + text.encode(),
        "line ends of Windows": text.replace("\n", "\r\n").encode(),
        "line ends of old Macs": text.replace("\n", "\r").encode(),
        "blank lines": text.replace("\n", "\n\n").encode(),
        "no line end at its end": text.rstrip("\n").encode(),
        "quotes around all": "\n".join(
            ",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()
        ).encode(),
        "columns in another order": "\n".join(",".join(line.split(",")[::-1]) for line in text.splitlines()).encode(),
        "surplus columns": "\n".join(f"{line},note" for line in text.splitlines()).encode(),
        "semicolons": text.replace(",", ";").encode(),
        "tabs": text.replace(",", "\t").encode(),
        "a workbook": workbook(),
        "UTF-16": text.encode("utf-16"),
        "Latin-1": text.replace("positive", "pösitive").encode("latin-1"),
        "no bytes": b"",
        "a header only": header.encode(),
        "no header": "\n".join([first, *rest]).encode(),
        "a column missing": "\n".join(line.rpartition(",")[0] for line in text.splitlines()).encode(),
        "a row twice": "\n".join([header, first, first, *rest]).encode(),
        "a file under two labels": "\n".join([header, first, first.replace("positive", "negative"), *rest]).encode(),
        "a file under two patients": "\n".join([header, first, first.replace(RECORD, "X"), *rest]).encode(),
        "a quote left open": text.replace("L,CC", 'L,"CC', 1).encode(),
        "NUL bytes": text.replace("CC", "C\0C", 1).encode(),
        "a cell of megabytes": text.replace("CC", "C" * 3_000_000, 1).encode(),
        "noise": bytes(range(256)) * 20,
        "a row of commas": (text + ",,,,\n").encode(),
        "a row cut short": (text + "x.dcm,1\n").encode(),
        "a row too long": (text + first + ",more\n").encode(),
        "an html page": b"<html><body>Sign in</body></html>",
    }[name]


HARMLESS = (
    *("byte order mark", "line ends of Windows", "line ends of old Macs", "blank lines", "no line end at its end"),
    *("quotes around all", "columns in another order", "surplus columns", "semicolons", "tabs"),
)
REFUSED = (
    *("a workbook", "UTF-16", "Latin-1", "no bytes", "a header only", "no header"),
    *("a column missing", "a row twice", "a file under two labels", "a file under two patients"),
    *("a quote left open", "NUL bytes", "a cell of megabytes", "noise", "a row of commas", "a row cut short"),
    *("a row too long", "an html page"),
)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_spreadsheets_do_to_a_table_does_no_harm(table: Path, tmp_path: Path, name: str) -> None:
    table.write_bytes(changed(table, name))
    assert convert(table, tmp_path / "work").used == 9


@pytest.mark.parametrize("name", REFUSED)
def test_a_damaged_table_is_refused_before_anything_is_written_and_no_patient_is_quoted(
    table: Path, tmp_path: Path, name: str
) -> None:
    table.write_bytes(changed(table, name))
    with pytest.raises(UserError) as refused:
        convert(table, tmp_path / "work")
    assert NAME.lower() not in str(refused.value) and RECORD not in str(refused.value)
    assert not (tmp_path / "work").exists()


def test_rows_whose_files_cannot_be_read_are_refused_by_their_lines(table: Path, tmp_path: Path) -> None:
    for name, path in no_files(tmp_path / "paths"):
        broken = tmp_path / "cohort" / f"{len(name)}.csv"
        broken.write_text(table.read_text() + f"{path},someone,L,CC,negative\n")
        with pytest.raises(UserError, match=r"line 11, path|NUL"):
            convert(broken, tmp_path / "work")
    assert not (tmp_path / "work").exists()
