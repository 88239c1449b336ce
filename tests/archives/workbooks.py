"""Small workbooks with several sheets."""

from __future__ import annotations

import zipfile
from pathlib import Path


def write_sheets(path: Path, *sheets: str) -> Path:
    """Write a workbook; each sheet is given as rows of words."""
    with zipfile.ZipFile(path, "w") as book:
        for number, rows in enumerate(sheets, 1):
            words = ("".join(f'<c t="str"><v>{word}</v></c>' for word in row.split()) for row in rows.split("/"))
            cells = "".join(f"<row>{row}</row>" for row in words)
            book.writestr(f"xl/worksheets/sheet{number}.xml", f"<worksheet><sheetData>{cells}</sheetData></worksheet>")
    return path
