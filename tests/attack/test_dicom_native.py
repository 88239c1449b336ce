"""The attack at the originals' own size: exact where nothing changed, and what the shards hold when scaled down."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicoms import breast, write_mammogram, write_table
from exports import CONFIG, FLAT, FLAT_SHAPE, NATIVE, export, files_of, planned, samples, without_mark
from generators import save_gnet
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter

from mammogan.attack.config import Background
from mammogan.attack.dicom.native import Originals, put_back
from mammogan.attack.generate import generate
from mammogan.attack.grey_grid import GreyGrid
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.dicom.placement import Placement, content, place_pixels
from mammogan.data.dicom.read import place, read_mammogram
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import read_json
from mammogan.workspace import Direction, Workspace


@pytest.mark.parametrize("background", ["original", "as-generated"])
def test_the_native_file_scales_down_to_the_adversarial_mammogram(altered: Workspace, background: Background) -> None:
    generation = replace(CONFIG, background=background)
    generate(altered, generation)
    folder = export(altered, NATIVE, generation=generation)
    files = files_of(folder)
    for real, fake in samples(altered):
        placement = Placement.from_json(real.facts["placement"])
        path = folder / files[fake.key]["file"]
        shown = placement.canonical(pydicom.dcmread(path).pixel_array)
        assert shown.shape == (256, 208)
        off = np.abs(place_pixels(shown.astype(np.float32), placement).astype(float) - fake.pixels)
        change = np.abs(fake.pixels.astype(float) - real.pixels)
        unmarked = placement.canonical(without_mark(files[fake.key], shown.shape)).astype(np.float32)
        free = content(place_pixels(unmarked * 65535, placement), placement) == 65535
        if background == "original":  # where air keeps the pixels of the original from changing, they cannot follow
            free &= content(binary_erosion(real.pixels > 327, np.ones((5, 5)), border_value=1), placement)
        assert content(off, placement)[free].mean() < 0.01 * content(change, placement)[free].mean()


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("shape", [(400, 312), (300, 250), (97, 70)])
def test_a_change_goes_back_to_the_original_and_nothing_else_changes(
    tmp_path: Path, side: str, shape: tuple[int, int]
) -> None:
    stored = breast(shape) if side == "L" else breast(shape)[:, ::-1].copy()
    source = read_mammogram(write_mammogram(tmp_path / "a.dcm", stored, side), side, "CC")
    real, placement = place(source, FLAT)
    changed = np.zeros(FLAT_SHAPE, bool)
    changed[40:60, 10:30] = True
    lesion = gaussian_filter(np.random.default_rng(1).normal(0, 1, FLAT_SHAPE), 1.2) * 15000
    fake = np.clip(real + changed * lesion, 0, 65535).astype(np.uint16)
    native = put_back(source.pixels, real, fake, placement)

    rows, cols = np.mgrid[: shape[0], : shape[1]]
    row, col = placement.from_source(*(placement.canonical(grid) for grid in (rows, cols)))
    near = binary_dilation(changed, np.ones((5, 5)))
    inside = near[np.rint(row).astype(int).clip(0, 127), np.rint(col).astype(int).clip(0, 95)]
    assert np.array_equal(native[~inside], np.rint(source.pixels).astype(np.uint16)[~inside])

    off = place_pixels(native.astype(np.float32), placement).astype(float) - fake
    change = (fake.astype(float) - real)[changed]
    if shape[0] > 200:  # where the original is finer than the shard
        assert np.sqrt((off[changed] ** 2).mean()) < 0.02 * np.sqrt((change**2).mean())
    assert np.array_equal(put_back(source.pixels, real, real, placement), np.rint(source.pixels).astype(np.uint16))


def test_the_native_file_keeps_the_originals_air_and_grey_grid(altered: Workspace) -> None:
    folder = export(altered, NATIVE)
    files = files_of(folder)
    originals = Originals(altered)
    for real, fake in samples(altered):
        placement = Placement.from_json(real.facts["placement"])
        shown = pydicom.dcmread(folder / files[fake.key]["file"]).pixel_array
        original = placement.canonical(originals.pair(real, fake).real)
        free = without_mark(files[fake.key], shown.shape)
        air, grid = original <= 327, GreyGrid.of(original)
        assert 0.2 < air.mean() < 0.9 and grid is not None and grid.even
        assert np.array_equal(shown[air & free], original[air & free])
        assert grid.share_off(shown[free]) == 0
        assert (shown != original)[~air & free].mean() > 0.9


def test_a_missing_or_other_original_is_named_by_its_key_without_its_path(altered: Workspace, tmp_path: Path) -> None:
    with open(altered.cohort, newline="") as file:
        rows = list(csv.DictReader(file))
    row = next(row for row in rows if (row["label"], row["split"]) == ("positive", "test"))
    key, path = row["key"], row["path"]
    text = altered.cohort.read_text()
    altered.cohort.write_text(text.replace(path, str(tmp_path / "gone.dcm")))
    with pytest.raises(MissingInput, match=f"original of {key} is not where") as gone:
        export(altered, NATIVE)
    assert "gone.dcm" not in str(gone.value)
    write_mammogram(tmp_path / "gone.dcm", breast((256, 208))[:, ::-1].copy(), "R")
    with pytest.raises(UserError, match=f"original of {key} is not what its shard was made from") as other:
        export(altered, NATIVE)
    assert "gone.dcm" not in str(other.value)
    altered.cohort.unlink()
    with pytest.raises(MissingInput, match="mammogan make-shards"):
        planned(altered, NATIVE)


def test_labels_that_were_cleaned_from_the_shards_are_not_in_native_files(tmp_path: Path) -> None:
    rows = []
    for number in range(6):
        pixels = breast((256, 208), seed=number)
        pixels[230:245, 150:190:2] = 4000
        write_mammogram(tmp_path / f"{number}.dcm", pixels)
        rows.append((f"{number}.dcm", str(number), "L", "CC", ("positive", "negative")[number % 2], "test"))
    table = write_table(tmp_path / "labels.csv", rows, ("path", "patient", "laterality", "view", "label", "split"))
    workspace = Workspace(tmp_path / "work")
    convert_cohort(table, workspace, [FLAT], jobs=1, clean_background=True)
    for direction in Direction:
        save_gnet(workspace, FLAT, direction)
    generate(workspace, CONFIG)
    folder = export(workspace, replace(NATIVE, blinded=tmp_path / "key.json"))
    for file in read_json(tmp_path / "key.json")["files"]:
        if not file["altered"]:
            assert not pydicom.dcmread(folder / file["file"]).pixel_array[220:, 140:].any()
