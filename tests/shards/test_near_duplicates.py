"""One image that was exported twice is noticed across splits; two breasts are not taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import run_script
from dicoms import COLUMNS, breast, write_mammogram, write_table

from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort, verify
from mammogan.data.inspect.near_duplicates import near_duplicates, texture
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(128, 96)
SPLITS = ("train", "train", "validation", "validation", "test", "test")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Six patients, the last one's file being the first one's with noise, in another window."""
    root = tmp_path_factory.mktemp("alike")
    rows = []
    for number, split in enumerate(SPLITS):
        pixels, window = breast((256, 192), seed=number), None
        if number == 5:
            noise = np.random.default_rng(9).integers(-3, 4, pixels.shape)
            pixels = np.where(breast((256, 192)), breast((256, 192)) + noise, 0).clip(0, 4095).astype(np.uint16)
            window = (2000.0, 3600.0, "LINEAR")
        write_mammogram(root / f"{number}.dcm", pixels, window=window)
        label = "positive" if number % 2 == 0 else "negative"
        rows.append((f"{number}.dcm", f"patient {number}", "L", "CC", label, split))
    table = write_table(root / "labels.csv", rows, (*COLUMNS, "split"))
    workspace = Workspace(root / "work")
    convert_cohort(table, workspace, [SIZE], jobs=1)
    return workspace


def keys(shards: Workspace) -> list[str]:
    return [line.split(",")[0] for line in shards.cohort.read_text().splitlines()[1:]]


def test_an_image_that_was_exported_twice_is_found_in_the_other_split_and_nothing_else(shards: Workspace) -> None:
    [pair] = near_duplicates(ShardIndex.load(shards.shards(SIZE)))
    found = keys(shards)
    assert {pair.first, pair.second} == {found[0], found[5]} and pair.splits == ("train", "test")
    assert 0.9 < pair.alike <= 1


def test_it_is_a_warning_with_keys_and_no_fault(shards: Workspace) -> None:
    assert verify(shards.shards(SIZE)) == []
    ran = run_script("shards/check_shards.py", "--workspace", shards.root, "--no-contact")
    told = " ".join(ran.stdout.split())
    assert ran.returncode == 0 and told.count("WARNING") == 1
    assert f"{keys(shards)[0]} (train) and {keys(shards)[5]} (test) look alike" in told
    assert "train 2 images, 1 positive" in told and "test 2 images, 1 positive" in told


def test_texture_is_of_the_image_not_of_its_grey_scale() -> None:
    pixels = breast((256, 192), bits=16)
    same = texture(pixels) @ texture((pixels * 0.6).astype(np.uint16))
    other = texture(pixels) @ texture(breast((256, 192), seed=1, bits=16))
    assert same > 0.999 and other < 0.7
    assert not texture(np.full((256, 192), 7, np.uint16)).any()
