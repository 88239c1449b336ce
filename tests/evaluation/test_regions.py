"""Boxes of a table lie where they should in a shard's image, and those that cannot be of the file are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mammogan.data.dicom.placement import Placement
from mammogan.data.regions.runs import from_text, mask_of, runs_of_box, runs_of_outline, to_text
from mammogan.errors import UserError
from mammogan.evaluation.beyond.regions import ArchiveRegions, BoxesOfTable, placed
from mammogan.io import tables
from mammogan.io.atomic import PRIVATE
from mammogan.io.records import write_record
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
        ("abc,L,400,200,nan,100,60,180", "expected numbers as corners"),
        ("abc,L,400,nan,20,100,60,180", "expected numbers as corners and size"),
        (",L,400,200,20,100,60,180", "the name of a file.*line 2"),
        ("abc,L,400,200,20,100,60,180,7", "no more cells than the header has.*line 2"),
        ("xyz,L,400,200,20,100,60,180", "found none of their files in it"),
    ],
)
def test_a_box_that_cannot_be_of_the_file_is_refused_with_its_line(tmp_path: Path, row: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        regions(tmp_path, row).of("k", facts(False))


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found the header only"):
        regions(tmp_path)


def test_a_name_that_two_mammograms_share_is_refused_because_nobody_knows_whose_box_it_is(tmp_path: Path) -> None:
    (tmp_path / "findings.csv").write_text(f"{HEADER}\n1-1,L,400,200,20,100,60,180\n")
    columns = ("key", "patient", "path", "laterality", "view", "label", "split")
    rows = [(key, "p", f"/{key}/1-1.dcm", "L", "CC", "positive", "test") for key in "kl"]
    tables.write(tmp_path / "cohort.csv", columns, rows)
    with pytest.raises(UserError, match=r"line 2: expected a name that one mammogram of .* has, found one that 2 have"):
        BoxesOfTable(tmp_path / "findings.csv", tmp_path / "cohort.csv")


def test_a_table_without_corners_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected columns xmin, ymin, xmax, ymax"):
        regions(tmp_path, "abc,1", header="image_id,birads")


def test_a_lesion_of_less_than_a_pixel_is_not_lost_and_large_ones_cover_what_they_cover() -> None:
    placement = Placement.laid((400, 200), Resolution(256, 128), (100, 50), True, False)
    one_pixel, large = runs_of_outline([(20, 40)], (400, 200)), runs_of_box(100, 200, 139, 239, (400, 200))
    mask = placed([one_pixel, large], placement)
    (row, column) = np.argwhere(mask)[0]
    assert (row, column) == (78 + 10, (199 - 20) // 4) and mask.sum() == 1 + 10 * 10


def test_outlines_enclose_their_pixels_and_runs_stay_in_their_rows() -> None:
    square = runs_of_outline([(5, 2), (9.6, 2), (9.6, 4.2), (5, 4.2)], (10, 11))
    assert square == tuple((row * 11 + 5, 6) for row in (2, 3, 4))
    assert mask_of(from_text(to_text(square), (10, 11)), (10, 11)).sum() == 18
    assert runs_of_outline([(11, 10)], (10, 11)) == ((9 * 11 + 10, 1),)
    assert runs_of_outline([(0, 0), (10, 0)], (10, 11)) == ((0, 11),)
    with pytest.raises(ValueError, match="do not lie"):
        from_text("105 6", (10, 11))


def test_regions_of_an_archive_on_another_size_or_side_leave_their_sample_without_truth(tmp_path: Path) -> None:
    entry = {"height": 400, "width": 200, "laterality": "L", "refused": []}
    entry["lesions"] = [{"category": "mass", "runs": to_text(runs_of_box(20, 100, 60, 180, (400, 200)))}]
    kinds = {"fits": entry, "size": {**entry, "height": 401}, "side": {**entry, "laterality": "R"}}
    write_record(tmp_path / "regions.json", {"samples": kinds}, PRIVATE)
    found = ArchiveRegions(tmp_path / "regions.json", {key: {} for key in kinds})
    assert [found.of(key, facts(False)) is not None for key in (*kinds, "other")] == [True, False, False, False]
    assert found.unknown == {"size", "side"}
