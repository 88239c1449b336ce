"""A part of the breast that was lost is flagged, a large one leaves the image out, and what is honest is neither."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import breast, write_mammogram
from numpy.typing import NDArray
from PIL import Image
from test_rotated import mlo
from test_stored_bits import tissue

from mammogan.data.dicom.read import Reading, Source, Unusable, Voi, read_mammogram

Pixels = NDArray[np.uint16]
FLAG = "hole_in_breast"
LARGE = (720, 576)
"""Shape whose overview has blocks of 4 x 4 pixels."""


def read(file: Path, pixels: Pixels, voi: Voi = "header", side: str = "L", **options: Any) -> Source:
    return read_mammogram(write_mammogram(file, pixels, side, **options), side, "CC", Reading(voi))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.dcm"


def flagged(file: Path, pixels: Pixels, **options: Any) -> bool:
    return FLAG in read(file, pixels, **options).facts["flags"]


def without(pixels: Pixels, rows: slice, cols: slice, value: int = 0) -> Pixels:
    """A copy in which a part has one value."""
    lost = pixels.copy()
    lost[rows, cols] = value
    return lost


ALL = slice(None)
HALVES = {
    "the lower half": (slice(110, None), ALL),
    "the upper half": (slice(None, 100), ALL),
    "the half with the nipple": (ALL, slice(60, None)),
    "a strip across the middle": (slice(70, 150), ALL),
    "a strip along the chest wall, but for its border": (ALL, slice(20, 80)),
    "a block that reaches into the air": (slice(50, 170), slice(25, None)),
    "a block at the chest wall": (slice(50, 180), slice(None, 75)),
}


@pytest.mark.parametrize("value", [0, 2048, 4095])
@pytest.mark.parametrize("part", HALVES)
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_half_a_breast_of_one_value_is_left_out(file: Path, part: str, value: int, photometric: str) -> None:
    whole = tissue() if photometric == "MONOCHROME2" else 4095 - tissue()
    with pytest.raises(Unusable, match=r"pixels_lost.*% of the breast have one value"):
        read(file, without(whole, *HALVES[part], value), photometric=photometric)


@pytest.mark.parametrize("voi", ["linear_bits", "none"])
def test_lost_pixels_are_seen_whatever_brightness_is_requested(file: Path, voi: Voi) -> None:
    with pytest.raises(Unusable, match="pixels_lost"):
        read(file, without(tissue(), *HALVES["the lower half"]), voi)


@pytest.mark.parametrize(
    "part",
    [
        (slice(60, 70), ALL),
        (ALL, slice(40, 46)),
        (slice(60, 90), slice(20, 60)),
        (slice(60, 90), slice(None, 60)),
        (slice(60, 90), slice(50, None)),
    ],
)
@pytest.mark.parametrize("value", [0, 1000])
def test_a_smaller_hole_is_flagged_and_the_pixels_are_kept(file: Path, part: tuple[slice, slice], value: int) -> None:
    source = read(file, without(tissue(), *part, value))
    assert FLAG in source.facts["flags"] and np.ptp(source.pixels[part]) == 0
    mirrored = np.ascontiguousarray(without(tissue(), *part, value)[:, ::-1])
    assert flagged(file, mirrored, side="R")


@pytest.mark.parametrize("every", [16, 24])
def test_many_thin_strips_are_one_loss(file: Path, every: int) -> None:
    strips = tissue(shape=LARGE)
    for row in range(100, 600, every):
        strips[row : row + every // 2] = 0
    with pytest.raises(Unusable, match="pixels_lost"):
        read(file, strips)


def test_a_row_that_stands_in_for_all_that_follow_is_a_loss(file: Path) -> None:
    repeated = tissue()
    repeated[70:150] = repeated[70]
    with pytest.raises(Unusable, match="pixels_lost"):
        read(file, repeated)
    smeared = tissue()
    smeared[:, 20:80] = smeared[:, 20:21]
    with pytest.raises(Unusable, match="pixels_lost"):
        read(file, smeared)


def implant(value: int) -> Pixels:
    stored = tissue(shape=LARGE)
    row, col = np.mgrid[: LARGE[0], : LARGE[1]]
    stored[((row - 330) / 150) ** 2 + ((col - 110) / 130) ** 2 < 1] = value
    return stored


def squarish(power: float, height: float = 150, width: float = 130, center: tuple[int, int] = (330, 110)) -> Pixels:
    """A white implant between an ellipse (2) and a rectangle."""
    stored = tissue(shape=LARGE)
    row, col = np.mgrid[: LARGE[0], : LARGE[1]]
    stored[abs((row - center[0]) / height) ** power + abs((col - center[1]) / width) ** power < 1] = 4095
    return stored


def clips() -> Pixels:
    stored = tissue(shape=LARGE)
    for row, col in ((200, 50), (300, 200), (400, 120)):
        stored[row : row + 12, col : col + 20] = 4095
    return stored


def burnt_skin() -> Pixels:
    return np.where(tissue(shape=LARGE) < 900, 0, tissue(shape=LARGE)).astype(np.uint16)


def collimated(value: int, wide: int = 140) -> Pixels:
    """The field of a small breast on a large detector: what lies outside has one value, and cuts the breast off."""
    stored = without(tissue(shape=LARGE), slice(LARGE[0] - wide, None), ALL, value)
    stored = without(stored, slice(None, 40), ALL, value)
    return without(stored, ALL, slice(430, None), value)


def away_from_the_chest_wall() -> Pixels:
    canvas = np.zeros((720, 800), np.uint16)
    canvas[:, 160:736] = tissue(shape=LARGE)
    return canvas


def on_a_larger_canvas() -> Pixels:
    canvas = np.zeros((1100, 900), np.uint16)
    canvas[20:740, :576] = tissue(shape=LARGE)
    return canvas


def fills_the_frame() -> Pixels:
    return tissue(shape=LARGE)[200:450, :250].copy()


def label_over_label() -> Pixels:
    stored = tissue(shape=LARGE)
    stored[:, 450:] = 0
    noise = np.random.default_rng(0).integers(2000, 4000, (30, 100))
    stored[100:130, 460:560], stored[180:210, 460:560] = noise, noise
    return stored


def defects() -> Pixels:
    stored = tissue(shape=LARGE)
    stored[300:302], stored[:, 100] = 0, 0
    return stored


def fills_a_smaller_field() -> Pixels:
    canvas = np.zeros((400, 400), np.uint16)
    canvas[:250, :250] = fills_the_frame()
    return canvas


def enlarged(down: float = 6, across: float = 6, shape: tuple[int, int] = (240, 192)) -> Pixels:
    """A picture whose pixels a program repeated; by a fractional factor, some more often than others."""
    row, col = (
        (np.arange(int(side * factor)) / factor).astype(int).clip(max=side - 1)
        for side, factor in zip(shape, (down, across), strict=True)
    )
    return tissue(shape=shape)[np.ix_(row, col)]


HONEST = {
    "tissue": tissue(),
    "a large picture": tissue(shape=LARGE),
    "an outline without softness": breast(LARGE),
    "a small outline without softness": breast(),
    "a muscle of one value": mlo(),
    "a white implant": implant(4095),
    "a black implant": implant(0),
    "clips": clips(),
    "burnt skin": burnt_skin(),
    "a dark collimator": collimated(0),
    "a white collimator": collimated(4095),
    "away from the chest wall": away_from_the_chest_wall(),
    "on a larger canvas": on_a_larger_canvas(),
    "a breast that fills the frame": fills_the_frame(),
    "a breast that fills a smaller field": fills_a_smaller_field(),
    "labels": label_over_label(),
    "defects of the detector": defects(),
    "each pixel six times as large": enlarged(),
    "few grey values": (tissue(shape=LARGE) // 512 * 512).astype(np.uint16),
    "sixteen grey values without noise": (breast(LARGE) // 256 * 256).astype(np.uint16),
}


@pytest.mark.parametrize("picture", HONEST)
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_what_is_honest_is_not_flagged(file: Path, picture: str, photometric: str) -> None:
    stored = HONEST[picture] if photometric == "MONOCHROME2" else (4095 - HONEST[picture]).astype(np.uint16)
    assert not flagged(file, stored, photometric=photometric)
    assert not flagged(file, np.ascontiguousarray(stored[:, ::-1]), photometric=photometric, side="R")


@pytest.mark.parametrize("power", [2.5, 3, 4, 5, 8])
@pytest.mark.parametrize("size", [(150, 130, (330, 110)), (100, 100, (330, 130)), (40, 40, (330, 150))])
def test_an_implant_that_is_nearly_square_is_no_hole(
    file: Path, power: float, size: tuple[int, int, tuple[int, int]]
) -> None:
    assert not flagged(file, squarish(power, *size))
    assert not flagged(file, np.ascontiguousarray(squarish(power, *size)[:, ::-1]), side="R")


@pytest.mark.parametrize("value", [0, 4095])
def test_rectangles_that_cross_or_stand_beside_an_implant_are_holes(file: Path, value: int) -> None:
    one = without(tissue(shape=LARGE), slice(250, 400), slice(100, 180), value)
    assert flagged(file, without(one, slice(300, 350), slice(50, 230), value))
    assert flagged(file, without(squarish(4, 60, 60, (420, 120)), slice(200, 280), slice(60, 160), value))


def test_in_a_small_picture_a_row_of_jpeg_blocks_is_no_hole_and_a_longer_or_wider_part_is(file: Path) -> None:
    small = tissue(shape=(192, 160))
    assert not flagged(file, without(small, slice(64, 72), slice(16, 80), 1000))
    assert not flagged(file, without(small, slice(48, 112), slice(32, 40), 1000))
    assert flagged(file, without(small, slice(64, 73), slice(16, 80), 1000))
    assert flagged(file, without(small, slice(62, 70), slice(16, 80), 1000))
    assert flagged(file, without(small, slice(64, 72), slice(8, 96), 1000))


@pytest.mark.parametrize("factor", [1.5, 3.2, 3.4, 3.5, 3.6, 5.2, 5.5, 8])
def test_a_picture_that_was_enlarged_by_any_factor_has_no_holes(file: Path, factor: float) -> None:
    for down, across in ((factor, factor), (factor, 1), (1, factor)):
        stored = enlarged(down, across)
        assert not flagged(file, stored) and not flagged(file, (stored >> 4).astype(np.uint8), bits=8)


def test_a_large_picture_that_was_enlarged_has_no_holes(file: Path) -> None:
    assert not flagged(file, enlarged(3.5, 3.5, (512, 416)))


@pytest.mark.parametrize("factor", [2, 3.5])
def test_a_hole_in_an_enlarged_picture_is_seen(file: Path, factor: float) -> None:
    rows = slice(round(60 * factor), round(90 * factor))
    assert flagged(file, without(enlarged(factor, factor), rows, ALL))
    with pytest.raises(Unusable, match="pixels_lost"):
        read(file, without(enlarged(factor, factor), slice(round(70 * factor), round(150 * factor)), ALL))


def compressed(pixels: Pixels, quality: int) -> NDArray[np.uint8]:
    """What lossy JPEG of 8 bits leaves of 12."""
    stream = io.BytesIO()
    Image.fromarray((pixels >> 4).astype(np.uint8)).save(stream, "JPEG", quality=quality)
    return np.array(Image.open(stream))


@pytest.mark.parametrize("quality", [10, 30, 50, 75])
@pytest.mark.parametrize("shape", [(240, 192), LARGE, (1664, 1280)])
def test_blocks_that_lossy_compression_left_without_texture_are_no_holes(
    file: Path, shape: tuple[int, int], quality: int
) -> None:
    assert not flagged(file, compressed(tissue(shape=shape), quality), bits=8)


@pytest.mark.parametrize("quality", [30, 75])
def test_a_row_of_blocks_that_was_lost_in_a_compressed_picture_is_seen(file: Path, quality: int) -> None:
    stored = compressed(tissue(), quality)
    stored[64:72] = 128
    assert flagged(file, stored, bits=8)
    stored[72:160] = 128
    with pytest.raises(Unusable, match="pixels_lost"):
        read(file, stored, bits=8)


@pytest.mark.parametrize("quality", [30, 75, 90])
def test_a_saturated_breast_that_was_compressed_is_left_out_as_saturated(file: Path, quality: int) -> None:
    saturated = (np.minimum(tissue(), 300) / 300 * 3840).astype(np.uint16)
    with pytest.raises(Unusable, match="grey_scale_ruined"):
        read(file, compressed(saturated, quality), bits=8)
