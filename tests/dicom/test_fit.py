"""How much of a mammogram goes into a shard image, and at which size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicoms import breast, write_cohort, write_mammogram
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_coordinates import to_source

from mammogan.data.cohort.cohort import Mammogram
from mammogan.data.cohort.pseudonyms import Pseudonyms
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.conversion.convert_image import Converted, Skipped, Task, convert, sample_facts
from mammogan.data.dicom.fit import Fit, fitted, size_flags
from mammogan.data.dicom.placement import Placement, add_change_to_source, apply_placement_to_mask, place_pixels
from mammogan.data.dicom.read import Source, Unusable, place, read_mammogram
from mammogan.data.dicom.reasons import OF_THE_FILE
from mammogan.data.shards.reader import read_shard
from mammogan.workspace import HIGH, LOW, Resolution, Workspace

SMALL = Resolution(96, 96)
NAMES = Pseudonyms(b"secret")
ROW = Mammogram(2, "key", "patient", Path("a.dcm"), "L", "CC", "negative", "train", None)


def mammogram(path: Path, shape: tuple[int, int] = (400, 300), laterality: str = "L", mm: float = 0.7) -> Source:
    """A breast in the upper left two thirds of a wide dark field; mirrored for R."""
    height, width = shape
    stored = np.zeros(shape, np.uint16)
    part = breast((2 * height // 3, 2 * width // 3))
    stored[: part.shape[0], : part.shape[1]] = part
    if laterality == "R":
        stored = stored[:, ::-1].copy()
    file = write_mammogram(path, stored, laterality, ImagerPixelSpacing=[mm, mm])
    return read_mammogram(file, laterality, "CC")


@pytest.mark.parametrize(
    ("source", "mm", "content"),
    [((4096, 3328), 0.07, (1728, 1404)), ((3328, 2560), 0.07, (1404, 1080)), ((2294, 1914), 0.0941, (1301, 1085))],
)
def test_physical_gives_every_detector_the_pixels_of_the_largest(
    source: tuple[int, int], mm: float, content: tuple[int, int]
) -> None:
    placement = fitted("physical", source, HIGH, (False, False), [mm, mm], None)
    assert placement.content_shape == content
    assert np.allclose([mm / scale for scale in placement.scale], 286.72 / 1728, rtol=1e-3)
    assert size_flags("physical", placement, HIGH, [mm, mm]) == []


def test_physical_shrinks_a_field_that_is_larger_than_the_largest_detectors_and_says_so(tmp_path: Path) -> None:
    large, spacing = (5000, 4000), [0.07, 0.07]
    placement = fitted("physical", large, LOW, (False, False), spacing, None)
    assert size_flags("physical", placement, LOW, spacing) == ["larger_than_field"]
    assert size_flags("pad", placement, LOW, spacing) == []
    assert placement == Placement.fit(large, LOW, False, False)
    file = write_mammogram(tmp_path / "a.dcm", breast((700, 500)), ImagerPixelSpacing=[0.5, 0.5])
    row = Mammogram(**{**vars(ROW), "path": file})
    made = convert(Task(row, (SMALL,), NAMES, fit="physical"))
    assert isinstance(made, Converted) and b'"larger_than_field"' in made.members[SMALL].json


def test_physical_leaves_out_what_does_not_say_how_large_its_pixels_are(tmp_path: Path) -> None:
    file = write_mammogram(tmp_path / "a.dcm", breast(), ImagerPixelSpacing=None, PixelSpacing=None)
    row = Mammogram(**{**vars(ROW), "path": file})
    outcome = convert(Task(row, (SMALL,), NAMES, fit="physical"))
    assert isinstance(outcome, Skipped) and outcome.code == "no_spacing"


@pytest.mark.parametrize("mm", [[0.0001, 0.0001], [0.07, 0.0007], [0.019, 0.019], [0.51, 0.51], [70, 70]])
def test_physical_leaves_out_what_says_that_its_pixels_are_of_an_impossible_size(
    tmp_path: Path, mm: list[float]
) -> None:
    file = write_mammogram(tmp_path / "a.dcm", breast(), ImagerPixelSpacing=mm)
    row = Mammogram(**{**vars(ROW), "path": file})
    outcome = convert(Task(row, (SMALL,), NAMES, fit="physical"))
    assert outcome == Skipped("spacing_implausible", f"pixels of {[float(n) for n in mm]} mm, expected 0.02 to 0.5 mm")
    assert outcome.code in OF_THE_FILE
    assert isinstance(convert(Task(row, (SMALL,), NAMES)), Converted)


def test_an_enlarged_mammogram_is_flagged_at_that_size_alone(tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "cohort")
    sizes = Resolution(96, 96), Resolution(1024, 832)
    report = convert_cohort(table, Workspace(tmp_path / "work"), sizes, jobs=1)
    flagged = [
        {key: flags for key, flags in found.items() if "enlarged" in flags}
        for found in (flags_in(Workspace(tmp_path / "work"), size) for size in sizes)
    ]
    assert flagged[0] == {} and len(flagged[1]) == report.used == report.flagged["enlarged"]
    assert any("used with a flag: enlarged, the original has fewer pixels" in line for line in report.lines())


def flags_in(workspace: Workspace, size: Resolution) -> dict[str, list[str]]:
    folder = workspace.shards(size)
    return {sample.key: sample.facts["flags"] for tar in folder.glob("*.tar") for sample in read_shard(tar)}


def test_stretch_fills_the_shard_image(tmp_path: Path) -> None:
    source = mammogram(tmp_path / "a.dcm", (400, 200))
    pixels, placement = place(source, SMALL, "stretch")
    assert placement.content_shape == (96, 96) and placement.scale == (96 / 400, 96 / 200)
    facts = sample_facts(ROW, source, placement, NAMES)
    assert facts["spacing_mm"] == pytest.approx([0.7 * 400 / 96, 0.7 * 200 / 96], abs=1e-6)
    assert (pixels[:, :4] > 0).mean() > 0.5


@pytest.mark.parametrize("laterality", ["L", "R"])
def test_crop_enlarges_the_breast_and_keeps_the_chest_wall_and_the_nipple(tmp_path: Path, laterality: str) -> None:
    source = mammogram(tmp_path / "a.dcm", laterality=laterality)
    (padded, _), (cropped, placement) = place(source, SMALL), place(source, SMALL, "crop")
    assert placement.region is not None
    top, bottom, left, right = placement.region
    shown = source.pixels > source.pixels.max() / 4
    assert left == 0 and right < source.pixels.shape[1] and bottom - top < source.pixels.shape[0]
    assert not shown[:, right:].any() and not shown[:top].any() and not shown[bottom:].any()
    assert (cropped > 16000).sum() > 1.5 * (padded > 16000).sum()


def test_crop_takes_all_where_no_breast_is_found() -> None:
    placement = fitted("crop", (400, 300), SMALL, (True, False), None, None)
    assert placement == Placement.fit((400, 300), SMALL, True, False)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["pad", "physical", "stretch", "crop"]),
    st.tuples(st.integers(100, 4000), st.integers(100, 4000)),
    st.tuples(st.booleans(), st.booleans()),
    st.data(),
)
def test_every_stored_pixel_that_is_used_comes_back_to_itself_in_every_fit(
    fit: Fit, shape: tuple[int, int], flips: tuple[bool, bool], data: st.DataObject
) -> None:
    height, width = shape
    region = (height // 5, height - height // 7, 0, width - width // 6)
    placement = fitted(fit, shape, LOW, flips, [0.07, 0.05], region)
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    assert np.allclose(to_source(placement, *placement.from_source(row, col)), (row, col), atol=1e-6)
    assert Placement.from_json(placement.to_json()) == placement
    # The corners of the content are half a pixel inside those of the region.
    top, left = placement.from_source(*to_source(placement, *placement.offset))
    assert (top, left) == pytest.approx(placement.offset)


@pytest.mark.parametrize("fit", ["pad", "physical", "stretch", "crop"])
@pytest.mark.parametrize("flips", [(False, False), (True, True)])
def test_spots_and_masks_land_where_the_placement_says_and_go_back(fit: Fit, flips: tuple[bool, bool]) -> None:
    shape, region = (400, 300), (40, 380, 0, 240)
    placement = fitted(fit, shape, SMALL, flips, [0.5, 0.5], region)
    frame = np.zeros(shape, np.float32)
    frame[150:170, 130:150] = 40000
    canonical = np.ascontiguousarray(placement.canonical(frame))
    image = place_pixels(canonical, placement)
    rows, cols = np.mgrid[: image.shape[0], : image.shape[1]]
    weight = image.astype(float)
    center = to_source(placement, (weight * rows).sum() / weight.sum(), (weight * cols).sum() / weight.sum())
    assert np.allclose(center, (159.5, 139.5), atol=0.5)
    mask = apply_placement_to_mask(frame > 0, placement)
    assert mask.any() and (image[mask] > 15000).all()
    change = np.where(mask, 5000, 0).astype(np.float32)
    back = place_pixels(add_change_to_source(canonical, change, placement), placement).astype(float)
    assert np.abs(back - image - change)[mask].mean() < 500


def test_a_fit_that_needs_a_spacing_says_so() -> None:
    with pytest.raises(Unusable, match="no_spacing"):
        fitted("physical", (400, 300), SMALL, (False, False), None, None)
