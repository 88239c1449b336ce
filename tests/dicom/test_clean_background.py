"""--clean-background: what is burnt in beside the breast goes, the breast stays as it is, and the shards say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import breast, write_cohort, write_mammogram
from numpy.typing import NDArray

from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort, verify
from mammogan.data.dicom.greyscale import Voi
from mammogan.data.dicom.read import Reading, Source, read_mammogram
from mammogan.data.shards.reader import read_shard
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)
LABEL = 4000


def labelled(stored: NDArray[np.uint16], value: int = LABEL) -> NDArray[np.uint16]:
    """Stored pixels of a left breast with text in a far corner, a marker at the edge and a line along the top."""
    height, width = stored.shape
    marked = stored.copy()
    marked[height // 20 : height // 8, width * 3 // 4 : width * 9 // 10] = value
    marked[height * 9 // 10 :, width - width // 12 :] = value
    marked[: max(1, height // 96), width // 2 :] = value
    return marked


def read(
    path: Path, pixels: NDArray[Any], clean: bool, laterality: str = "L", voi: Voi = "header", **options: Any
) -> Source:
    file = write_mammogram(path, pixels, laterality, **options)
    return read_mammogram(file, laterality, "CC", Reading(voi, clean_background=clean))


@pytest.mark.parametrize("shape", [(96, 96), (520, 407), (777, 400)])
@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_labels_beside_the_breast_go_and_the_breast_keeps_every_pixel(
    tmp_path: Path, shape: tuple[int, int], laterality: str, photometric: str
) -> None:
    plain = breast(shape)
    marked = labelled(plain)
    if photometric == "MONOCHROME1":
        plain, marked = 4095 - plain, 4095 - marked
    if laterality == "R":
        plain, marked = plain[:, ::-1].copy(), marked[:, ::-1].copy()
    wanted = read(tmp_path / "x.dcm", plain, clean=False, laterality=laterality, photometric=photometric)
    kept = read(tmp_path / "x.dcm", marked, clean=False, laterality=laterality, photometric=photometric)
    cleaned = read(tmp_path / "x.dcm", marked, clean=True, laterality=laterality, photometric=photometric)
    assert not np.array_equal(kept.pixels, wanted.pixels)
    assert np.array_equal(cleaned.pixels, wanted.pixels)
    assert cleaned.facts["flags"] == [] and cleaned.flip_h == (laterality == "R")


def test_what_goes_becomes_the_background_and_not_black(tmp_path: Path) -> None:
    stored = np.maximum(breast((400, 300)), 200).astype(np.uint16)
    cleaned = read(tmp_path / "x.dcm", labelled(stored), clean=True, voi="linear_bits")
    assert np.array_equal(cleaned.pixels, read(tmp_path / "x.dcm", stored, clean=False, voi="linear_bits").pixels)
    assert cleaned.pixels[:40, 250:].min() == cleaned.pixels.min() > 0


def test_faint_skin_around_the_breast_and_holes_in_it_stay(tmp_path: Path) -> None:
    stored = breast((520, 400))
    row, col = np.mgrid[:520, :400]
    inside = ((row - 234) / 198) ** 2 + (col / 240) ** 2 < 1
    rim = (((row - 234) / 205) ** 2 + (col / 247) ** 2 < 1) & ~inside
    stored[rim] = 60
    stored[200:260, 60:130] = 0
    assert np.array_equal(
        read(tmp_path / "x.dcm", stored, clean=True).pixels, read(tmp_path / "x.dcm", stored, clean=False).pixels
    )


def test_where_no_background_is_found_nothing_is_wiped_out_and_a_flag_says_so(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(3000, 4096, (96, 96)).astype(np.uint16)
    kept = read(tmp_path / "x.dcm", noise, clean=False)
    cleaned = read(tmp_path / "x.dcm", noise, clean=True)
    assert np.array_equal(cleaned.pixels, kept.pixels)
    assert set(cleaned.facts["flags"]) - set(kept.facts["flags"]) == {"background_not_cleaned"}


def test_shards_say_that_their_background_was_cleaned_and_are_not_mixed_with_others(tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "cohort")
    for path in table.parent.glob("*/*L.dcm"):
        write_mammogram(path, labelled(breast(seed=int(path.stem[:-1]))))
    plain, clean = Workspace(tmp_path / "plain"), Workspace(tmp_path / "clean")
    for work, asked in ((plain, False), (clean, True)):
        convert_cohort(table, work, [SIZE], jobs=1, clean_background=asked)
        assert verify(work.shards(SIZE)) == []
    names = ("train-negative-000000.tar", "train-positive-000000.tar")
    for name in names:
        facts = [sample.facts.get("clean_background") for sample in read_shard(clean.shards(SIZE) / name)]
        assert facts and set(facts) == {True}
    assert ShardIndex.load(clean.shards(SIZE)).settings["clean_background"] is True
    assert "clean_background" not in ShardIndex.load(plain.shards(SIZE)).settings
    assert "clean_background" not in json.dumps(next(read_shard(plain.shards(SIZE) / names[0])).facts)
    for work, asked, told in ((plain, True, "was None, is True"), (clean, False, "was True, is None")):
        with pytest.raises(UserError, match=f"clean_background {told}"):
            convert_cohort(table, work, [SIZE], jobs=1, clean_background=asked)


def test_images_that_could_not_be_cleaned_are_counted_for_their_user(tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "cohort")
    noise = np.random.default_rng(3).integers(3000, 4096, (96, 96)).astype(np.uint16)
    write_mammogram(next(iter(sorted(table.parent.glob("*/*L.dcm")))), noise)
    report = convert_cohort(table, Workspace(tmp_path / "work"), [SIZE], jobs=1, clean_background=True)
    assert report.flagged["background_not_cleaned"] == 1
    assert any("1 used with a flag: background_not_cleaned" in line for line in report.lines())
