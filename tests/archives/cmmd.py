"""CMMD: NBIA tree, 8-bit, DERIVED, the view only in ViewCodeSequence, an odd workbook with a row a breast."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from dicoms import breast

from archives.miniature import Miniature, code

COLUMNS = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype")
ORIENTATION = {("L", "CC"): ["A", "R"], ("L", "MLO"): ["A", "FR"], ("R", "CC"): ["P", "L"], ("R", "MLO"): ["P", "FL"]}
CODES = {"CC": code("399162004"), "MLO": code("399368009")}


def write(root: Path, workbook: bool = True) -> Miniature:
    made = Miniature(root)
    counts: dict[str, int] = {}

    def add(patient: str, side: str, view: str, expect: str, **elements: object) -> None:
        counts[patient] = counts.get(patient, 0) + 1
        made.image(
            f"CMMD/{patient}/07-18-2010-NA-NA-79377/1.000000-NA-70244/1-{counts[patient]}.dcm", expect, side, view,
            bits=8, pixels=breast(seed=len(made.expected), bits=8).astype(np.uint8), without=("ViewPosition",),
            window=(128, 256, "SIGMOID"), ImageType=["DERIVED", "PRIMARY"], PatientID=patient, Manufacturer="",
            ViewCodeSequence=[CODES[view]], PatientOrientation=ORIENTATION[side, view], **elements,
        )  # fmt: skip

    add("D1-0001", "L", "CC", "positive")
    add("D1-0001", "L", "MLO", "positive")
    add("D1-0002", "R", "CC", "label_benign")
    add("D1-0002", "R", "MLO", "label_benign")
    add("D2-0003", "R", "MLO", "positive")
    add("D2-0003", "L", "MLO", "label_contralateral")
    add("D2-0004", "L", "CC", "label_benign")
    add("D2-0004", "R", "CC", "label_unlisted")
    add("D1-0099", "R", "CC", "not_listed")
    rows = [
        ("D1-0001", "L", "44", "2", "mass", "Malignant", ""),
        ("D1-0002", "R", "55", "2", "both", "Benign", ""),
        ("D2-0003", "R", "61", "4", "mass", "Malignant", "Luminal A"),
        ("D2-0004", "L", "39", "4", "calcification", "Benign", ""),
    ]
    if workbook:
        write_workbook(made.root / "CMMD_clinicaldata_revision.xlsx", [COLUMNS, *rows])
    else:
        made.table("CMMD_clinicaldata_revision_CSV.csv", COLUMNS, rows, separator=";")
    return made


def write_workbook(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Shared and inline strings, numbers, empty cells left out, a wrong declared size: as met in the wild."""
    strings = sorted({cell for row in rows for cell in row if cell and not cell.isdigit()})
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = []
        for column, cell in enumerate(row):
            reference = f"{chr(ord('A') + column)}{number}"
            if cell.isdigit():
                cells.append(f'<c r="{reference}"><v>{cell}</v></c>')
            elif cell and number % 2:
                cells.append(f'<c r="{reference}" t="s"><v>{strings.index(cell)}</v></c>')
            elif cell:
                cells.append(f'<c r="{reference}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>')
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    main = 'xmlns="http://purl.oclc.org/ooxml/spreadsheetml/main"'
    shared = "".join(f"<si><t>{escape(text)}</t></si>" for text in strings)
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/workbook.xml", f"<workbook {main}/>")
        book.writestr("xl/sharedStrings.xml", f"<sst {main}>{shared}</sst>")
        sheet = f'<worksheet {main}><dimension ref="A1"/><sheetData>{"".join(lines)}</sheetData></worksheet>'
        book.writestr("xl/worksheets/sheet1.xml", sheet)
