"""Regions of lesions that a table gives: boxes in the pixels of the original files, as VinDr-Mammo has them.

The table is private, as its file names are; it is read where the workspace's cohort.csv is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammogan.data.cohort.workspace_table import rows_by_key
from mammogan.data.dicom.placement import Placement
from mammogan.errors import UserError
from mammogan.io import tables

Mask = NDArray[np.bool_]
NAMES = ("path", "image", "image_id")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
SHOWN = 5


@dataclass(frozen=True)
class Box:
    """A box in the stored frame of a file, in pixels: first and last column and row, and where the table has it."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float
    line: int
    size: tuple[float, float] | None = None
    """Height and width of the file that the table speaks of."""
    laterality: str = ""


class Regions:
    """The boxes of a workspace's mammograms, by key."""

    def __init__(self, table: Path, cohort: Path) -> None:
        self.table = table
        self.boxes = _read(table)
        self._stems = {key: Path(row["path"]).stem.lower() for key, row in rows_by_key(cohort).items()}

    def of(self, key: str, facts: dict[str, Any]) -> Mask | None:
        """Return the pixels (H,W) of a sample in one of its boxes; None if the table has no box of its file.

        Raise UserError for a box that cannot be of this file: outside of it, of another size, or of the other side.
        """
        boxes = self.boxes.get(self._stems.get(key, ""))
        if not boxes:
            return None
        placement = Placement.from_json(facts["placement"])
        mask = np.zeros(placement.shape, bool)
        for box in boxes:
            self._check(box, facts, placement)
            rows, columns = placement.from_source([box.ymin, box.ymax], [box.xmin, box.xmax])
            top, bottom = (int(np.clip(round(end), 0, mask.shape[0] - 1)) for end in sorted(rows))
            left, right = (int(np.clip(round(end), 0, mask.shape[1] - 1)) for end in sorted(columns))
            mask[top : bottom + 1, left : right + 1] = True
        return mask

    def _check(self, box: Box, facts: dict[str, Any], placement: Placement) -> None:
        height, width = placement.source_shape
        where = f"{self.table}: line {box.line}"
        if box.size and (round(box.size[0]), round(box.size[1])) != (height, width):
            raise UserError(
                f"{where}: expected a box of an image of {height} x {width} pixels, as the file has, found one of "
                f"{box.size[0]:g} x {box.size[1]:g}, and one drawn on another size is not rescaled: correct "
                "or remove the row"
            )
        if not (0 <= box.xmin <= box.xmax <= width and 0 <= box.ymin <= box.ymax <= height):
            raise UserError(
                f"{where}: expected a box within {height} x {width} pixels, found rows {box.ymin:g} to {box.ymax:g}, "
                f"columns {box.xmin:g} to {box.xmax:g}: correct or remove the row"
            )
        if box.laterality and box.laterality[:1].upper() != facts["laterality"]:
            raise UserError(
                f"{where}: expected a box of the side {facts['laterality']}, as the file is, found {box.laterality}: "
                "correct or remove the row"
            )


def _read(table: Path) -> dict[str, list[Box]]:
    """Return the boxes by the name of their file, without folder and ending; rows without a box are left out."""
    lines = list(tables.read_lines(table))
    header = [cell.strip().lower() for cell in lines[0].cells] if lines else []
    name = next((one for one in NAMES if one in header), None)
    if name is None or any(corner not in header for corner in CORNERS):
        raise UserError(
            f"{table}: expected columns {', '.join(CORNERS)} and one of {', '.join(NAMES)}, found "
            f"{', '.join(header) or 'nothing'}"
        )
    found: defaultdict[str, list[Box]] = defaultdict(list)
    faults = []
    for line in lines[1:]:
        row = tables.row_of(header, line)
        if not any(row[corner] for corner in CORNERS):  # an image without a finding
            continue
        try:
            xmin, ymin, xmax, ymax = (float(row[corner]) for corner in CORNERS)
            size = (float(row["height"]), float(row["width"])) if row.get("height") and row.get("width") else None
        except ValueError:
            faults.append(f"line {line.number}")
            continue
        box = Box(xmin, ymin, xmax, ymax, line.number, size, row.get("laterality", ""))
        found[Path(row[name]).stem.lower()].append(box)
    if faults:
        raise UserError(f"{table}: expected numbers as corners, found others in {', '.join(faults[:SHOWN])}")
    return dict(found)
