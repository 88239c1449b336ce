"""The background is black, whatever lifts it, and no tissue is taken for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import breast, write_mammogram
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from mammogan.data.dicom.greyscale import Voi
from mammogan.data.dicom.read import Reading, Source, place, read_mammogram
from mammogan.workspace import Resolution

TOP = 65535


def lut(entries: NDArray[np.float64], bits: int = 12) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries), 0, bits]
    item.LUTData = np.rint(entries * ((1 << bits) - 1)).astype("<u2").tobytes()
    return item


SHADE = np.linspace(-3, 3, 4096)
LIFTING: dict[str, dict[str, Any]] = {
    "a wide window": {"window": (2000, 6000, "LINEAR")},
    "a wide window, exact": {"window": (2000, 6000, "LINEAR_EXACT")},
    "a sigmoid": {"window": (2048, 4096, "SIGMOID")},
    "a LUT in the shape of a sigmoid": {"VOILUTSequence": [lut(1 / (1 + np.exp(-SHADE)))]},
    "a rescale and a window": {"RescaleSlope": 2, "RescaleIntercept": 100, "window": (4000, 12000, "LINEAR")},
}


def read(path: Path, pixels: NDArray[Any], voi: Voi = "header", laterality: str = "L", **options: Any) -> Source:
    file = write_mammogram(path, pixels, laterality, **options)
    return read_mammogram(file, laterality, "CC", Reading(voi))


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("lifting", LIFTING)
def test_a_background_that_the_header_lifts_is_brought_to_zero(
    tmp_path: Path, lifting: str, laterality: str, photometric: str
) -> None:
    stored, options = breast((160, 100)), LIFTING[lifting]
    stored[60, 10] = 4095
    if laterality == "R":
        stored = stored[:, ::-1].copy()
    if photometric == "MONOCHROME1":
        stored = (4095 - stored).astype(np.uint16)
    source = read(tmp_path / "x.dcm", stored, laterality=laterality, photometric=photometric, **options)
    assert source.pixels[:, 70:].max() == 0 and source.facts["flags"] == []
    assert source.facts["voi"]["background"] > 500
    assert source.pixels.max() > 0.75 * TOP and (source.pixels[:, :20] > 0.1 * TOP).mean() > 0.5
    pixels, placement = place(source, Resolution(96, 96))
    assert placement.content_shape[1] < 96
    assert (pixels[:, placement.content_shape[1] - 8 :] == 0).all()  # no seam to the padding


def test_the_brightness_that_was_taken_from_the_background_is_recorded_and_the_top_stays(tmp_path: Path) -> None:
    stored = breast()
    stored[40, 10] = 4095
    source = read(tmp_path / "x.dcm", stored, window=(2000, 6000, "LINEAR"))
    lifted = (0 - 1999.5) / 5999 + 0.5
    assert source.facts["voi"]["background"] == pytest.approx(lifted * TOP, abs=0.01)
    plain = (stored - 1999.5) / 5999 + 0.5
    assert np.allclose(source.pixels, (plain - lifted) / (1 - lifted) * TOP, atol=0.02)


@pytest.mark.parametrize("voi", ["header", "linear_bits", "none"])
def test_air_that_is_not_stored_as_zero_is_black_where_the_header_is_followed_and_kept_where_nothing_is_cut_off(
    tmp_path: Path, voi: Voi
) -> None:
    stored = np.maximum(breast(), 200).astype(np.uint16)
    source = read(tmp_path / "x.dcm", stored, voi)
    kept = {"header": 0, "linear_bits": 200 * TOP / 4095, "none": 200}[voi]
    assert source.pixels[:, 70:] == pytest.approx(kept, abs=0.01) and source.facts["flags"] == []
    assert ("background" in source.facts["voi"]) == (voi == "header")


def test_noisy_air_is_brought_down_by_its_commonest_value(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(300, 12, (400, 300))
    stored = np.where(breast((400, 300)) > 0, breast((400, 300)), noise).astype(np.uint16)
    source = read(tmp_path / "x.dcm", stored, window=(2000, 6000, "LINEAR"))
    assert source.pixels[:, 200:].mean() < 150 and source.facts["flags"] == []


def test_air_between_breast_and_dark_padding_is_brought_to_zero_too(tmp_path: Path) -> None:
    stored = np.maximum(breast((160, 160)), 400).astype(np.uint16)
    stored[:, 130:] = stored[:20] = stored[-20:] = 0
    source = read(tmp_path / "x.dcm", stored, window=(2000, 6000, "LINEAR"), PixelPaddingValue=0)
    assert source.pixels[:, 110:].max() == 0 and source.facts["flags"] == []


def tissue() -> dict[str, NDArray[np.uint16]]:
    """Breasts that fill the image: without any air, the commonest dark value is of fat."""
    row, col = np.mgrid[:400, :300]
    random = np.random.default_rng(0)
    soft = ndimage.gaussian_filter(random.normal(0, 1, (400, 300)), 15)
    pictures = {
        "noise": random.uniform(1200, 3700, (400, 300)),
        "waves": 1900 + 700 * np.sin(row / 40) * np.cos(col / 50),
        "thinner towards the nipple": 3000.0 - 5 * col,
        "thinner towards a corner": 1000.0 + 3 * (400 - row) + 2 * col,
        "glands in fat": 2000 + 600 * soft / soft.std() + random.normal(0, 30, (400, 300)),
    }
    return {name: np.clip(picture, 600, 4000).astype(np.uint16) for name, picture in pictures.items()}


@pytest.mark.parametrize("lifting", LIFTING)
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("picture", tissue())
def test_a_breast_that_fills_the_image_is_not_darkened_and_a_flag_says_so(
    tmp_path: Path, picture: str, photometric: str, lifting: str
) -> None:
    stored = tissue()[picture]
    if photometric == "MONOCHROME1":
        stored = (4095 - stored).astype(np.uint16)
    source = read(tmp_path / "x.dcm", stored, photometric=photometric, **LIFTING[lifting])
    assert "background" not in source.facts["voi"]
    assert source.pixels.min() > 1000
    assert set(source.facts["flags"]) & {"background_unknown", "bright_background"}


@pytest.mark.parametrize("window", [(-2000, 10000, "LINEAR"), (-500, 5000, "SIGMOID")])
def test_a_background_brighter_than_half_of_the_scale_is_flagged_and_left(tmp_path: Path, window: Any) -> None:
    source = read(tmp_path / "x.dcm", breast(), window=window)
    assert source.facts["flags"] == ["bright_background"] and source.pixels[:, 90:].min() > TOP / 2
