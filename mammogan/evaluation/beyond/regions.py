"""Regions of lesions in a shard's image: those of the archive, which make-shards keeps, or boxes of a table.

Boxes are in the pixels of the original files, as VinDr-Mammo has them. Their table is private, as its file names are;
it is read where the workspace's cohort.csv is.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammogan.data.cohort.table import LESION_REGIONS
from mammogan.data.cohort.workspace_table import REMEDY, rows_by_key
from mammogan.data.dicom.placement import Placement, apply_placement_to_mask
from mammogan.data.regions.region_file import read_carried
from mammogan.data.regions.runs import Runs, from_text, mask_of, middle_of
from mammogan.errors import UserError
from mammogan.io import tables
from mammogan.io.own_files import file_exists
from mammogan.workspace import Workspace

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


class ArchiveRegions:
    """The lesions of a workspace's mammograms that their archive has outlined, by key.

    ``rows`` are those of its cohort.csv. Raise UserError if the file ``held`` is of other mammograms, or lacks those
    that have regions by cohort.csv.
    """

    def __init__(self, held: Path, rows: Mapping[str, Mapping[str, str]]) -> None:
        self.unknown: set[str] = set()
        """Mammograms that were asked for and have a region that is not used, so that their lesions are not known."""
        said = [key for key, row in rows.items() if row.get(LESION_REGIONS)]
        self._entries = read_carried(held, rows.keys(), said)
        self._masks: dict[str, Mask] = {}

    def of(self, key: str, facts: dict[str, Any]) -> Mask | None:
        """Return the pixels (H,W) of a sample in one of its lesions; None if none is known, or not all are.

        Lesions drawn on a frame of another size than the file's, or of the other side, are not used.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        placement = Placement.from_json(facts["placement"])
        shape = entry["height"], entry["width"]
        if entry["refused"] or shape != placement.source_shape or entry["laterality"] != facts["laterality"]:
            self.unknown.add(key)
            return None
        if key not in self._masks:
            lesions = [from_text(lesion["runs"], shape) for lesion in entry["lesions"]]
            self._masks[key] = placed(lesions, placement)
        return self._masks[key]


def placed(lesions: Sequence[Runs], placement: Placement) -> Mask:
    """Return the pixels (H,W) of a shard's image in one of the lesions, none of which gets lost by its smallness."""
    shape = placement.source_shape
    mask = apply_placement_to_mask(mask_of(itertools.chain.from_iterable(lesions), shape), placement)
    for runs in lesions:
        if sum(length for _, length in runs) * math.prod(placement.scale) < 1:
            row, column = (round(float(at)) for at in placement.from_source(*middle_of(runs, shape)))
            if 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]:
                mask[row, column] = True
    return mask


class BoxesOfTable:
    """The boxes of a workspace's mammograms, by key."""

    def __init__(self, table: Path, cohort: Path) -> None:
        self.table = table
        self.boxes = _read(table)
        self._stems = {key: Path(row["path"]).stem.lower() for key, row in rows_by_key(cohort).items()}
        uses = Counter(stem for stem in self._stems.values() if stem in self.boxes)
        if self.boxes and not uses:
            raise UserError(
                f"{table}: expected boxes of mammograms of {cohort}, found none of their files in it: is it the table "
                "of this archive?"
            )
        if twice := next((stem for stem, number in uses.items() if number > 1), ""):
            raise UserError(
                f"{table}: line {self.boxes[twice][0].line}: expected a name that one mammogram of {cohort} has, found "
                f"one that {uses[twice]} have, and which of them is meant is not known: remove the row"
            )

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


Regions = ArchiveRegions | BoxesOfTable


def lesion_regions(workspace: Workspace, table: Path | None) -> Regions | None:
    """Return the boxes of a table if one is given, else what the workspace holds of its archive; None without both.

    Raise UserError if cohort.csv says that the workspace should hold some, and it does not, or holds those of others.
    """
    if table:
        return BoxesOfTable(table, workspace.cohort)
    has_regions, has_cohort = file_exists(workspace.regions), file_exists(workspace.cohort)
    if has_regions and not has_cohort:
        raise UserError(
            f"{workspace.regions}: expected {workspace.cohort} too, which says whose lesion regions these are; found "
            f"no such file. {REMEDY}"
        )
    rows = rows_by_key(workspace.cohort) if has_cohort else {}
    if has_regions:
        return ArchiveRegions(workspace.regions, rows)
    if said := sum(bool(row.get(LESION_REGIONS)) for row in rows.values()):
        raise UserError(
            f"{workspace.regions}: expected the lesion regions of {said} mammograms, which {workspace.cohort} counts; "
            "found no such file. Bring it back from a copy, or repeat mammogan make-shards, which takes it from beside "
            "the cohort table"
        )
    return None


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
    if not lines[1:]:
        raise UserError(f"{table}: expected a row for each box, found the header only")
    found: defaultdict[str, list[Box]] = defaultdict(list)
    faults = []
    for line in lines[1:]:
        row = tables.row_of(header, line)
        try:
            if tables.surplus(line, len(header)) or not row[name]:
                raise ValueError
            if any(row[corner] for corner in CORNERS):  # else an image without a finding
                found[Path(row[name]).stem.lower()].append(_box(row, line.number))
        except ValueError:
            faults.append(f"line {line.number}")
    if faults:
        raise UserError(
            f"{table}: expected numbers as corners and size, the name of a file, and no more cells than the header "
            f"has; found others in {', '.join(faults[:SHOWN])}"
        )
    return dict(found)


def _box(row: dict[str, str], line: int) -> Box:
    """Return the box of a row. Raise ValueError if its corners or its size are no numbers."""
    xmin, ymin, xmax, ymax = (float(row[corner]) for corner in CORNERS)
    size = (float(row["height"]), float(row["width"])) if row.get("height") and row.get("width") else None
    if not all(map(math.isfinite, (xmin, ymin, xmax, ymax, *(size or ())))):
        raise ValueError
    return Box(xmin, ymin, xmax, ymax, line, size, row.get("laterality", ""))
