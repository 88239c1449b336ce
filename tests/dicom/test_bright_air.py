"""An image whose air is bright is flagged as inverted and not taken for a mirrored breast; honest images are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import breast, write_mammogram
from numpy.typing import NDArray
from scipy import ndimage
from test_background import tissue as filling
from test_lost_pixels import HONEST, LARGE, collimated, fills_the_frame
from test_rotated import mlo
from test_stored_bits import tissue

from mammogan.data.dicom.read import Reading, Source, read_mammogram

Pixels = NDArray[np.uint16]
FLAG = "bright_background"
WINDOWS = {"no window": None, "a window": (2048, 4096, "LINEAR"), "a steep one": (1500, 3000, "LINEAR")}


def read(file: Path, pixels: Pixels, side: str = "L", **options: Any) -> Source:
    return read_mammogram(write_mammogram(file, pixels, side, **options), side, "CC", Reading())


def mirrored(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def elliptic(height: float, width: float) -> Pixels:
    row, col = np.mgrid[:240, :192]
    depth = 1 - ((row - 110) / height) ** 2 - (col / width) ** 2
    noise = np.random.default_rng(0).normal(0, 0.006, depth.shape)
    value = np.sqrt(np.clip(depth, 0, 1)) * (0.7 + 0.2 * np.sin(row / 17) * np.cos(col / 13)) + noise
    return np.rint(np.clip(np.where(depth > 0, value, noise / 4), 0, 1) * 4095).astype(np.uint16)


def labelled() -> Pixels:
    stored = tissue()
    stored[20:32, 150:180] = np.random.default_rng(0).integers(0, 2, (12, 30)) * 4095
    return stored


INVERTED = {
    "tissue": tissue(),
    "an outline without softness": breast((160, 100)),
    "with a muscle": mlo(),
    "fat": tissue() // 2,
    "a large breast": elliptic(130, 185),
    "a small breast": elliptic(50, 50),
    "air above 0": np.maximum(tissue(), 200).astype(np.uint16),
    "with a label": labelled(),
    "sixteen bits": tissue(16) // 16,
}


@pytest.mark.parametrize("picture", INVERTED)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("below", [0, 500])
def test_an_inverted_image_is_flagged_and_neither_mirrored_nor_darkened(
    tmp_path: Path, picture: str, window: str, below: int
) -> None:
    inverted = np.clip(4095.0 - INVERTED[picture] - below, 0, None).astype(np.uint16)
    left = read(tmp_path / "l.dcm", inverted, window=WINDOWS[window])
    assert FLAG in left.facts["flags"] and not left.flip_h
    assert not {"orientation_disagrees", "background_unknown"} & set(left.facts["flags"])
    assert "background" not in left.facts["voi"]
    right = read(tmp_path / "r.dcm", mirrored(inverted), "R", window=WINDOWS[window])
    assert right.flip_h and np.array_equal(right.pixels, left.pixels)


def test_the_same_pixels_under_the_right_interpretation_are_not_flagged(tmp_path: Path) -> None:
    inverted = (4095 - tissue()).astype(np.uint16)
    wrong = read(tmp_path / "x.dcm", inverted, photometric="MONOCHROME2")
    right = read(tmp_path / "x.dcm", inverted, photometric="MONOCHROME1")
    assert FLAG in wrong.facts["flags"] and right.facts["flags"] == []
    assert wrong.breast is not None and right.breast is not None
    assert np.allclose(wrong.breast, right.breast, atol=4)


def test_an_inverted_image_is_mirrored_where_its_breast_is_on_the_other_side(tmp_path: Path) -> None:
    source = read(tmp_path / "x.dcm", mirrored((4095 - tissue()).astype(np.uint16)), "L")
    assert source.flip_h and {FLAG, "orientation_disagrees"} <= set(source.facts["flags"])


def white_frame() -> Pixels:
    stored = tissue(shape=LARGE)
    stored[:40] = stored[-40:] = 4095
    stored[:, -60:] = 4095
    return stored


def frame_around_tissue() -> Pixels:
    """A breast that fills what a white collimator leaves free."""
    stored = np.full(LARGE, 4095, np.uint16)
    stored[:, :430] = filling()["glands in fat"].repeat(2, 0).repeat(2, 1)[:720, :430]
    return stored


def saturated() -> Pixels:
    return np.where(tissue(shape=LARGE) > 1200, 4095, tissue(shape=LARGE)).astype(np.uint16)


OTHERS = {
    **{f"{name} everywhere": picture for name, picture in filling().items()},
    "a white collimator on three sides": white_frame(),
    "a white collimator beside tissue": frame_around_tissue(),
    "a white collimator": collimated(4095),
    "tissue everywhere": fills_the_frame(),
    "a breast that is white in large part": saturated(),
}


@pytest.mark.parametrize("picture", [*HONEST, *OTHERS])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_an_honest_image_is_not_taken_for_an_inverted_one(tmp_path: Path, picture: str, photometric: str) -> None:
    stored = {**HONEST, **OTHERS}[picture]
    stored = stored if photometric == "MONOCHROME2" else (4095 - stored).astype(np.uint16)
    source = read(tmp_path / "x.dcm", stored, photometric=photometric)
    assert FLAG not in source.facts["flags"] and not source.flip_h


def padded(pixels: Pixels) -> Pixels:
    """The picture with white padding in the place of its air."""
    air = ndimage.binary_opening(pixels < 60, iterations=2)
    return np.where(air, 4095, pixels).astype(np.uint16)


@pytest.mark.parametrize("picture", sorted({*INVERTED} - {"an outline without softness", "air above 0"}))
@pytest.mark.parametrize("padding", [4000, 4095])
@pytest.mark.parametrize("below", [0, 500])
def test_an_inverted_image_whose_air_is_declared_as_padding_is_flagged_too(
    tmp_path: Path, picture: str, padding: int, below: int
) -> None:
    air = padded(INVERTED[picture]) == 4095
    inverted = np.where(air, padding, np.clip(3999.0 - INVERTED[picture] - below, 0, None)).astype(np.uint16)
    left = read(tmp_path / "l.dcm", inverted, PixelPaddingValue=padding)
    assert FLAG in left.facts["flags"] and not left.flip_h and "padding_in_breast" not in left.facts["flags"]
    right = read(tmp_path / "r.dcm", mirrored(inverted), "R", PixelPaddingValue=padding)
    assert right.flip_h and np.array_equal(right.pixels, left.pixels)


@pytest.mark.parametrize("picture", [*HONEST, *OTHERS, *INVERTED])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_white_padding_around_an_honest_image_is_no_bright_air(tmp_path: Path, picture: str, photometric: str) -> None:
    stored = padded({**HONEST, **OTHERS, **INVERTED}[picture])
    stored = stored if photometric == "MONOCHROME2" else (4095 - stored).astype(np.uint16)
    padding = 4095 if photometric == "MONOCHROME2" else 0
    flags = read(tmp_path / "x.dcm", stored, photometric=photometric, PixelPaddingValue=padding).facts["flags"]
    assert FLAG not in flags or "padding_in_breast" in flags  # of the value of an implant
