"""Declared padding is black outside the imaged field, and no tissue that has its value is taken for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import write_mammogram
from numpy.typing import NDArray
from test_stored_bits import tissue

from mammogan.data.dicom.read import Source, read_mammogram


def read(path: Path, pixels: NDArray[Any], **options: Any) -> Source:
    return read_mammogram(write_mammogram(path, pixels, **options), "L", "CC")


def calcifications(stored: NDArray[np.uint16]) -> NDArray[np.bool_]:
    spots = np.zeros(stored.shape, bool)
    spots[98:122:6, 50:74:6] = True
    return spots


@pytest.mark.parametrize("window", [None, (2048, 4096, None)])
@pytest.mark.parametrize("limits", [(4095, None), (4095, 3900)])
def test_padding_that_was_left_over_from_an_inverted_image_does_not_make_calcifications_black(
    tmp_path: Path, window: Any, limits: tuple[int, int | None]
) -> None:
    declared = {"PixelPaddingValue": limits[0]} | ({"PixelPaddingRangeLimit": limits[1]} if limits[1] else {})
    stored = tissue()
    spots = calcifications(stored)
    stored[spots] = 4095
    stored[10:20, 150:160] = 4095  # a label
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        pixels = stored
        if photometric == "MONOCHROME1":
            pixels, declared = 4095 - stored, {name: 4095 - value for name, value in declared.items()}
        source = read(tmp_path / "x.dcm", pixels, window=window, photometric=photometric, **declared)
        assert source.pixels[spots].min() > 60000 and source.facts["flags"] == ["padding_in_breast"]
        expected = read(tmp_path / "x.dcm", pixels, window=window, photometric=photometric)
        assert np.array_equal(source.pixels, expected.pixels)


def test_dark_or_impossible_padding_in_a_breast_stays_padding(tmp_path: Path) -> None:
    for value in (0, 65535, 8192):  # as dead pixels have it
        stored = tissue() + np.uint16(1)
        spots = calcifications(stored)
        stored[spots] = value
        source = read(tmp_path / "x.dcm", np.minimum(stored, 4095) if value == 0 else stored, PixelPaddingValue=value)
        assert source.pixels[spots].max() == 0 and source.facts["flags"] == []


def test_bright_padding_at_the_border_stays_padding(tmp_path: Path) -> None:
    stored = tissue()
    stored[:, 170:] = 4095
    source = read(tmp_path / "x.dcm", stored, PixelPaddingValue=4095)
    assert source.pixels[:, 170:].max() == 0 and source.facts["flags"] == []
