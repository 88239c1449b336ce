"""Boxes of a table lie where they should in a shard's image, and those that cannot be of the file are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mammogan.data.dicom.placement import Placement
from mammogan.errors import UserError
from mammogan.evaluation.beyond.regions import BoxesOfTable
from mammogan.io import tables
from mammogan.workspace import Resolution

HEADER = "image_id,laterality,height,width,xmin,ymin,xmax,ymax"
"""Some of the columns of VinDr-Mammo's finding_annotations.csv."""


def facts(flip: bool) -> dict[str, Any]:
    """A file of 400 x 200 pixels, half as large in the shard, in the middle of 256 rows."""
    placement = Placement.laid((400, 200), Resolution(256, 128), (200, 100), flip, False)
    return {"placement": placement.to_json(), "laterality": "R" if flip else "L"}


def regions(folder: Path, *rows: str, header: str = HEADER) -> BoxesOfTable:
    (folder / "findings.csv").write_text("\n".join([header, *rows]) + "\n")
    columns = ("key", "patient", "path", "laterality", "view", "label", "split")
    tables.write(folder / "cohort.csv", columns, [("k", "p", "/private/ABC.dicom", "L", "CC", "positive", "test")])
    return BoxesOfTable(folder / "findings.csv", folder / "cohort.csv")


@pytest.mark.parametrize(("flip", "columns"), [(False, (10, 30)), (True, (69, 89))])
def test_a_box_lies_where_the_shard_has_its_pixels(tmp_path: Path, flip: bool, columns: tuple[int, int]) -> None:
    mask = regions(tmp_path, f"abc,{'R' if flip else 'L'},400,200,20,100,60,180").of("k", facts(flip))
    assert mask is not None
    rows, found = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    assert abs(rows[0] - (28 + 50)) <= 1 and abs(rows[-1] - (28 + 90)) <= 1
    assert abs(found[0] - columns[0]) <= 1 and abs(found[-1] - columns[1]) <= 1


def test_two_boxes_are_both_there_and_images_without_a_finding_have_none(tmp_path: Path) -> None:
    found = regions(tmp_path, "abc,L,400,200,0,0,10,10", "abc,L,400,200,150,300,160,310", "def,L,400,200,,,,")
    mask = found.of("k", facts(False))
    assert mask is not None and mask[30, 2] and mask[28 + 152, 77] and not mask[28 + 80, 40]
    assert regions(tmp_path, "abc,L,400,200,,,,").of("k", facts(False)) is None
    assert found.of("another", facts(False)) is None


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("abc,L,800,400,20,100,60,180", "line 2: expected a box of an image of 400 x 200"),
        ("abc,L,400,200,20,100,260,180", "expected a box within 400 x 200"),
        ("abc,L,400,200,60,100,20,180", "expected a box within 400 x 200"),
        ("abc,R,400,200,20,100,60,180", "expected a box of the side L"),
        ("abc,L,400,200,x,100,60,180", "expected numbers as corners"),
    ],
)
def test_a_box_that_cannot_be_of_the_file_is_refused_with_its_line(tmp_path: Path, row: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        regions(tmp_path, row).of("k", facts(False))


def test_a_table_without_corners_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected columns xmin, ymin, xmax, ymax"):
        regions(tmp_path, "abc,1", header="image_id,birads")
