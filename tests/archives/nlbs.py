"""NLBS: images/<group>/<patient>/<left|right>/<view>/<file>.dcm and a table whose File Path has backslashes."""

from __future__ import annotations

from pathlib import Path

from archives.miniature import Miniature

COLUMNS = ("File Path", "Image Laterality", "View Position", "Age", "Cancer", "False Positive")


def write(root: Path) -> Miniature:
    made = Miniature(root)
    rows: list[list[object]] = []

    def add(patient: int, side: str, view: str, expect: str, cancer: int = 0, false_positive: int = 0) -> None:
        group = "abnormal" if cancer or false_positive else "normal"
        inside = f"{group}/{patient}/{'left' if side == 'L' else 'right'}/{view}/IM-{len(rows):04d}-0001-0001.dcm"
        made.image(f"images/{inside}", expect, side, view)
        rows.append([inside.replace("/", "\\"), side, view, 58, cancer, false_positive])

    add(109430185503, "L", "CC", "positive", 1)
    add(109430185503, "R", "CC", "label_contralateral")
    add(109430185504, "L", "MLO", "negative")
    add(109430185504, "R", "MLO", "negative")
    add(109430185505, "R", "MLO", "label_recalled", 0, 1)
    made.table("NLBSP-metadata.csv", COLUMNS, rows, encoding="utf-8-sig")
    return made
