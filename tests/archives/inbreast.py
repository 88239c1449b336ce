"""INbreast: AllDICOMs/<file>_<patient>_MG_<L|R>_<CC|ML>_ANON.dcm, a table with semicolons, 4a to 4c, ML for MLO."""

from __future__ import annotations

import plistlib
from pathlib import Path

from dicoms import breast

from archives.miniature import Miniature, with_lesions

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
LESION = (30, 12, 44, 27)
"""Of the two positive films, as it lies in a left breast; the files show right ones."""
Point = tuple[float, float]


def outline(name: str, *points: Point) -> dict[str, object]:
    """One outline as OsiriX exports it."""
    return {
        "Area": 1.0,
        "IndexInImage": 0,
        "Name": name,
        "NumberOfPoints": len(points),
        "Point_mm": [f"({0.07 * x:f}, {0.07 * y:f}, 0.000000)" for x, y in points],
        "Point_px": [f"({x:f}, {y:f})" for x, y in points],
        "Type": 15 if len(points) > 1 else 19,
    }


def write_outlines(path: Path, *outlines: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = {"ImageIndex": 0, "NumberOfROIs": len(outlines), "ROIs": list(outlines)}
    path.write_bytes(plistlib.dumps({"Images": [image]}))


def square(columns: int = 96) -> list[Point]:
    """The corners of LESION in the file of a right breast."""
    top, left, bottom, right = LESION
    return [(columns - 1 - x, y) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]


def write(root: Path) -> Miniature:
    made = Miniature(root)
    rows: list[list[object]] = []

    def add(patient: str, side: str, view: str, birads: str, expect: str, acr: str = "2", **drawn: object) -> None:
        number = FIRST + len(rows)
        name = f"AllDICOMs/{number}_{patient}_MG_{side}_{'ML' if view == 'MLO' else view}_ANON.dcm"
        made.image(name, expect, side, "ML" if view == "MLO" else view, bits=14, without=("ImageLaterality",), **drawn)
        rows.append(["removed", "removed", side, view, "201001", number, acr, birads, "X"])

    drawn = [with_lesions(breast(seed=seed, bits=14), LESION) for seed in (0, 1)]
    add("6c613a14b80a8591", "R", "CC", "5", "positive", pixels=drawn[0])
    add("6c613a14b80a8591", "R", "MLO", "6", "positive", acr="     ", pixels=drawn[1])
    add("6c613a14b80a8591", "L", "MLO", "1", "label_contralateral")
    add("8d0b9620c53c0268", "L", "CC", "4a", "label_uncertain", acr="4")
    add("8d0b9620c53c0268", "R", "MLO", "3", "label_uncertain")
    add("cc1cc2cc3cc4cc5c", "L", "MLO", "2", "negative")
    add("cc1cc2cc3cc4cc5c", "R", "CC", "1", "negative")
    made.file(".DS_Store", "not_dicom").unlink()
    del made.expected[".DS_Store"]
    muscle = outline("Pectoral Muscle", (95, 0), (70, 0), (95, 40))
    write_outlines(root / f"AllXML/{FIRST}.xml", outline("Mass", *square()), outline("Calcification", (80.2, 36.4)))
    write_outlines(root / f"AllXML/{FIRST + 1}.xml", outline("Espiculated Region", *square()), muscle)
    made.table("INbreast.csv", COLUMNS, rows, separator=";")
    return made
