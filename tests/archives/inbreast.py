"""INbreast: AllDICOMs/<file>_<patient>_MG_<L|R>_<CC|ML>_ANON.dcm, a table with semicolons, 4a to 4c, ML for MLO."""

from __future__ import annotations

from pathlib import Path

from archives.miniature import Miniature

COLUMNS = (
    "Patient ID",
    "Patient age",
    "Laterality",
    "View",
    "Acquisition date",
    "File Name",
    "ACR",
    "Bi-Rads",
    "Mass ",
)
FIRST = 20586908


def write(root: Path) -> Miniature:
    made = Miniature(root)
    rows: list[list[object]] = []

    def add(patient: str, side: str, view: str, birads: str, expect: str, acr: str = "2") -> None:
        number = FIRST + len(rows)
        name = f"AllDICOMs/{number}_{patient}_MG_{side}_{'ML' if view == 'MLO' else view}_ANON.dcm"
        made.image(name, expect, side, "ML" if view == "MLO" else view, bits=14, without=("ImageLaterality",))
        rows.append(["removed", "removed", side, view, "201001", number, acr, birads, "X"])

    add("6c613a14b80a8591", "R", "CC", "5", "positive")
    add("6c613a14b80a8591", "R", "MLO", "6", "positive", acr="     ")
    add("6c613a14b80a8591", "L", "MLO", "1", "label_contralateral")
    add("8d0b9620c53c0268", "L", "CC", "4a", "label_uncertain", acr="4")
    add("8d0b9620c53c0268", "R", "MLO", "3", "label_uncertain")
    add("cc1cc2cc3cc4cc5c", "L", "MLO", "2", "negative")
    add("cc1cc2cc3cc4cc5c", "R", "CC", "1", "negative")
    made.file(".DS_Store", "not_dicom").unlink()
    del made.expected[".DS_Store"]
    made.file("AllXML/20586908.xml", "").write_text("<plist/>")
    del made.expected["AllXML/20586908.xml"]
    made.table("INbreast.csv", COLUMNS, rows, separator=";")
    return made
