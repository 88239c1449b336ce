"""What the bits of a stored pixel beyond the declared ones are is decided by the pixels, not by the header alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from damage import with_stream
from dicoms import breast, write_mammogram
from jpeg_lossless import jpeg_lossless
from numpy.typing import NDArray
from pydicom.uid import JPEGLossless, RLELossless
from scipy import ndimage

from mammogan.data.dicom.read import Source, Unusable, read_mammogram

Pixels = NDArray[np.uint16]


def tissue(bits: int = 12, seed: int = 0, shape: tuple[int, int] = (240, 192)) -> Pixels:
    """A breast on 0 that gets thinner towards the skin, with texture and noise as a detector's."""
    height, width = shape
    row, col = np.mgrid[:height, :width]
    depth = 1 - ((row - height * 0.45) / (height * 0.4)) ** 2 - (col / (width * 0.7)) ** 2
    waves = 0.75 + 0.2 * np.sin(row / 17 + seed) * np.cos(col / 13)
    noise = np.random.default_rng(seed).normal(0, 0.006, shape)
    value = np.sqrt(np.clip(depth, 0, 1)) * waves + noise
    return np.rint(np.clip(np.where(depth > 0, value, noise / 4), 0, 1) * ((1 << bits) - 1)).astype(np.uint16)


def text(image: Pixels) -> NDArray[np.bool_]:
    """Strokes as of letters, over tissue and over air."""
    drawn = np.zeros(image.shape, bool)
    drawn[60:90:6, 30:120] = drawn[60:90, 30:120:9] = drawn[10:20, 150:152] = True
    return drawn


def lines(image: Pixels) -> NDArray[np.bool_]:
    row, col = np.mgrid[: image.shape[0], : image.shape[1]]
    return (row == 2 * col) | (row + col == 150)


def region(image: Pixels) -> NDArray[np.bool_]:
    """A filled outline of the breast, as a computer's segmentation."""
    return np.asarray(image > 300)


def read(path: Path, pixels: NDArray[Any], **options: Any) -> Source:
    return read_mammogram(write_mammogram(path, pixels, **options), "L", "CC")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.dcm"


@pytest.mark.parametrize("plane", [12, 13, 15])
@pytest.mark.parametrize("drawn", [text, lines, region])
@pytest.mark.parametrize("window", [None, (2048, 4096, None)])
def test_an_overlay_whose_declaration_was_removed_is_no_brightness(
    file: Path, plane: int, drawn: Callable[[Pixels], NDArray[np.bool_]], window: Any
) -> None:
    stored = tissue()
    source = read(file, stored | (drawn(stored).astype(np.uint16) << plane), window=window)
    clean = read(file, stored, window=window)
    assert source.facts["flags"] == ["bits_removed"] and clean.facts["flags"] == []
    assert np.array_equal(source.pixels, clean.pixels) and source.fingerprint == clean.fingerprint


@pytest.mark.parametrize("used", [12, 13, 14])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("softness", [1, 2])
def test_a_filled_outline_of_a_breast_with_a_steep_skin_is_an_overlay_too(
    file: Path, used: int, photometric: str, softness: int
) -> None:
    stored = ndimage.gaussian_filter(breast((720, 576), bits=used).astype(float), softness).astype(np.uint16)
    inside = stored > 1000 << (used - 12)
    stored = stored if photometric == "MONOCHROME2" else ((1 << used) - 1 - stored).astype(np.uint16)
    source = read(file, stored | (inside.astype(np.uint16) << used), photometric=photometric)
    assert np.array_equal(source.pixels, read(file, stored, photometric=photometric).pixels)
    assert "bits_removed" in source.facts["flags"]


@pytest.mark.parametrize("least", [0.45, 0.55, 0.6, 0.7])
@pytest.mark.parametrize("softness", [0.0, 0.5])
@pytest.mark.parametrize("image", [tissue, breast])
def test_a_scanner_whose_tissue_is_all_beyond_the_declared_bits_is_believed(
    file: Path, least: float, softness: float, image: Callable[..., Pixels]
) -> None:
    plain = image(bits=13, shape=(240, 192)).astype(float)
    even = np.where(plain > 500, least * 8191 + (1 - least) * plain, plain)
    stored = ndimage.gaussian_filter(even, softness).astype(np.uint16) if softness else even.astype(np.uint16)
    assert "bits_removed" not in read(file, stored).facts["flags"]


def test_overlays_of_two_planes_and_fill_at_once_are_removed(file: Path) -> None:
    stored = tissue()
    drawn = stored | (text(stored).astype(np.uint16) << 13) | (lines(stored).astype(np.uint16) << 14) | 1 << 15
    source = read(file, drawn)
    assert np.array_equal(source.pixels, read(file, stored).pixels) and source.facts["flags"] == ["bits_removed"]


def test_an_overlay_on_noise_from_pixel_to_pixel_is_found_too(file: Path) -> None:
    stored = breast()
    drawn = stored.copy()
    drawn[20:30, 20:30] |= 1 << 14
    source = read(file, drawn)
    assert np.array_equal(source.pixels, read(file, stored).pixels) and source.facts["flags"] == ["bits_removed"]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_label_in_white_beyond_the_scale_is_white(file: Path, photometric: str) -> None:
    stored = tissue() if photometric == "MONOCHROME2" else 4095 - tissue()
    label = np.where(text(stored), 65535, stored).astype(np.uint16)
    within = np.where(text(stored), 4095, stored).astype(np.uint16)
    source, expected = (read(file, pixels, photometric=photometric) for pixels in (label, within))
    assert np.array_equal(source.pixels, expected.pixels) and source.facts["flags"] == ["bits_removed"]


@pytest.mark.parametrize("fill", [0xF000, 0x8000, 0x3000])
@pytest.mark.parametrize("compress", [None, RLELossless, JPEGLossless])
def test_unused_bits_that_are_ones_everywhere_are_fill(file: Path, fill: int, compress: str | None) -> None:
    stored = tissue()
    filled = stored | np.uint16(fill)
    path = write_mammogram(file, filled, compress=None if compress == JPEGLossless else compress)
    if compress == JPEGLossless:
        with_stream(path, jpeg_lossless(filled, 16), JPEGLossless)
    source = read_mammogram(path, "L", "CC")
    assert np.array_equal(source.pixels, read(file, stored).pixels) and source.facts["flags"] == ["bits_removed"]


def test_fill_that_spares_the_declared_padding_is_fill(file: Path) -> None:
    stored = tissue()
    filled = stored | np.uint16(0xF000)
    filled[:, 170:] = 0
    expected = np.where(np.arange(192) >= 170, 0, stored).astype(np.uint16)
    source = read(file, filled, PixelPaddingValue=0)
    assert np.array_equal(source.pixels, read(file, expected, PixelPaddingValue=0).pixels)
    assert source.facts["flags"] == ["bits_removed"]


@pytest.mark.parametrize("used", [13, 14, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("image", [tissue, breast])
def test_a_scanner_that_declares_fewer_bits_than_it_uses_is_believed(
    file: Path, used: int, photometric: str, image: Callable[..., Pixels]
) -> None:
    stored = image(bits=used)
    stored = stored if photometric == "MONOCHROME2" else ((1 << used) - 1 - stored).astype(np.uint16)
    stored[40, 10] = (1 << used) - 1
    source = read(file, stored, bits=12, photometric=photometric)
    expected = read(file, stored, bits=used, photometric=photometric)
    assert source.facts["flags"] == ["bits_exceeded"] and np.array_equal(source.pixels, expected.pixels)


def test_the_few_brightest_pixels_of_a_scanner_are_believed(file: Path) -> None:
    """Only an implant is brighter than 12 bits."""
    stored = tissue()
    row, col = np.mgrid[:240, :192]
    implant = stored + 2600 * np.exp(-(((row - 110) / 22) ** 2 + ((col - 40) / 18) ** 2))
    share = (implant > 4095).mean()
    source = read(file, np.rint(implant).astype(np.uint16))
    assert 0.005 < share < 0.05 and source.facts["flags"] == ["bits_exceeded"]
    assert source.pixels[110, 40] > 0.95 * source.pixels.max()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_few_pixels_far_beyond_the_declared_bits_do_not_make_the_image_dark(file: Path, photometric: str) -> None:
    stored = tissue() if photometric == "MONOCHROME2" else 4095 - tissue()
    hot = stored.copy()
    hot[100, 20:25] = 0x8003
    white = np.where(hot > 4095, 4095, stored).astype(np.uint16)
    source = read(file, hot, photometric=photometric)
    assert np.array_equal(source.pixels, read(file, white, photometric=photometric).pixels)
    assert source.facts["flags"] == ["bits_removed"]


def test_bits_without_which_no_image_is_left_are_no_overlay(file: Path) -> None:
    stored = tissue(8).astype(np.uint16)
    source = read(file, stored << 8, bits=8)
    expected = read(file, stored << 8, bits=16)
    assert np.array_equal(source.pixels, expected.pixels) and "bits_exceeded" in source.facts["flags"]


def test_a_window_beyond_the_declared_bits_shows_that_they_are_meant(file: Path) -> None:
    stored = (tissue() + 8192).astype(np.uint16)
    source = read(file, stored, window=(10240, 4096, "LINEAR_EXACT"))
    assert source.facts["flags"] == ["bits_exceeded"]
    assert np.array_equal(source.pixels, read(file, stored, bits=14, window=(10240, 4096, "LINEAR_EXACT")).pixels)


def test_bits_that_fit_no_reading_are_a_reason_to_leave_the_file_out(file: Path) -> None:
    signed = tissue().astype(np.int32) - 200  # declared as unsigned, so that air is 65336
    with pytest.raises(Unusable, match="bits_contradict"):
        read(file, signed.astype(np.int16).view(np.uint16))


@pytest.mark.parametrize("high", [0, 0xF000])
def test_signed_pixels_have_their_sign_whatever_fills_the_unused_bits(file: Path, high: int) -> None:
    stored = tissue()
    bare = (stored.astype(np.int32) - 2048).astype(np.int16)
    odd = (bare.view(np.uint16) & 0x0FFF | high).view(np.int16)
    source = read(file, odd)
    assert np.array_equal(source.pixels, read(file, bare).pixels) and source.facts["flags"] == []


def test_a_signed_scanner_that_declares_fewer_bits_than_it_uses_is_believed(file: Path) -> None:
    stored = (tissue(13).astype(np.int32) - 4096).astype(np.int16)
    source = read(file, stored, bits=12)
    assert source.facts["flags"] == ["bits_exceeded"]
    assert np.array_equal(source.pixels, read(file, stored, bits=13).pixels)


@pytest.mark.parametrize(("used", "plane"), [(13, 14), (13, 15), (14, 14), (14, 15), (15, 15)])
@pytest.mark.parametrize(
    ("image", "drawn"), [(tissue, text), (tissue, lines), (tissue, region), (breast, text), (breast, lines)]
)
@pytest.mark.parametrize("centered", [False, True])
def test_above_more_bits_than_declared_an_overlay_is_removed_too(
    file: Path,
    used: int,
    plane: int,
    image: Callable[..., Pixels],
    drawn: Callable[[Pixels], NDArray[np.bool_]],
    centered: bool,
) -> None:
    stored = image(shape=(240, 192), bits=used)
    options: dict[str, Any] = {"window": (1 << (used - 1), 1 << used, "LINEAR_EXACT")} if centered else {}
    source = read(file, stored | (drawn(stored).astype(np.uint16) << plane), **options)
    clean = read(file, stored, **options)
    assert source.facts["flags"] == ["bits_exceeded", "bits_removed"] and clean.facts["flags"] == ["bits_exceeded"]
    assert np.array_equal(source.pixels, clean.pixels)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("size", [1, 30])
def test_white_that_was_rounded_up_to_one_bit_more_is_white(file: Path, photometric: str, size: int) -> None:
    stored = tissue() if photometric == "MONOCHROME2" else 4095 - tissue()
    rounded, within = stored.copy(), stored.copy()
    part = slice(100, 100 + size), slice(30, 30 + size)
    rounded[part], within[part] = 4096, 4095
    source, expected = (read(file, pixels, photometric=photometric) for pixels in (rounded, within))
    assert np.array_equal(source.pixels, expected.pixels)
    assert set(source.facts["flags"]) - set(expected.facts["flags"]) == {"bits_removed"}


@pytest.mark.parametrize("compress", [None, RLELossless])
@pytest.mark.parametrize("window", [None, (2048, 4096, None)])
def test_pixels_in_the_upper_bits_are_shifted_down(file: Path, compress: str | None, window: Any) -> None:
    stored = tissue()
    source = read(file, stored << 4, HighBit=15, compress=compress, window=window)
    clean = read(file, stored, window=window)
    assert np.array_equal(source.pixels, clean.pixels) and source.fingerprint == clean.fingerprint
    assert source.facts["flags"] == ["high_bit_corrected"]


def test_signed_pixels_in_the_upper_bits_are_shifted_down(file: Path) -> None:
    stored = (tissue().astype(np.int32) - 2048).astype(np.int16)
    source = read(file, stored << 4, HighBit=15)
    assert np.array_equal(source.pixels, read(file, stored).pixels)


def test_pixels_in_the_middle_bits_are_shifted_down(file: Path) -> None:
    source = read(file, tissue(10) << 3, bits=10, HighBit=12)
    assert np.array_equal(source.pixels, read(file, tissue(10), bits=10).pixels)


@pytest.mark.parametrize("high", [7, 15, 65535])
def test_a_high_bit_that_the_pixels_contradict_is_left_out(file: Path, high: int) -> None:
    source = read(file, tissue(), HighBit=high)
    assert np.array_equal(source.pixels, read(file, tissue()).pixels)
    assert source.facts["flags"] == ["high_bit_corrected"]


def test_below_a_high_bit_the_window_shows_whether_more_bits_are_stored_or_an_overlay(file: Path) -> None:
    stored = tissue(16)
    more, fewer = ((center, 2 * center, "LINEAR_EXACT") for center in (32768, 2048))
    whole = read(file, stored, bits=16, window=more)
    assert np.array_equal(read(file, stored, HighBit=15, window=more).pixels, whole.pixels)
    assert np.array_equal(read(file, stored, HighBit=15).pixels, read(file, stored, bits=16).pixels)
    shifted = read(file, stored, HighBit=15, window=fewer)
    assert np.array_equal(shifted.pixels, read(file, stored >> 4, window=fewer).pixels)


def test_the_high_bit_says_nothing_of_what_a_codec_unpacks(file: Path) -> None:
    stored = tissue()
    path = with_stream(write_mammogram(file, stored), jpeg_lossless(stored, 12), JPEGLossless)
    dataset = pydicom.dcmread(path)
    dataset.HighBit = 15
    dataset.save_as(path)
    source = read_mammogram(path, "L", "CC")
    assert np.array_equal(source.pixels, read(file, stored).pixels) and source.facts["flags"] == []


def declaring(path: Path, *planes: int) -> Path:
    """Declare overlays in these bits of the pixels."""
    dataset = pydicom.dcmread(path)
    for group, plane in zip(range(0x6000, 0x6020, 2), planes, strict=False):
        for element, value in ((0x10, dataset.Rows), (0x11, dataset.Columns), (0x100, 16), (0x102, plane)):
            dataset.add_new((group, element), "US", value)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    ("used", "plane"), [(12, 12), (12, 15), (13, 13), (13, 15), (14, 14), (14, 15), (15, 15), (11, 11)]
)
@pytest.mark.parametrize("drawn", [text, lines, region])
@pytest.mark.parametrize("image", [tissue, breast])
def test_of_declared_overlays_only_their_own_bits_are_removed(
    file: Path,
    used: int,
    plane: int,
    drawn: Callable[[Pixels], NDArray[np.bool_]],
    image: Callable[..., Pixels],
) -> None:
    stored = image(shape=(240, 192), bits=used)
    clean = read(file, stored)
    declared = read_mammogram(
        declaring(write_mammogram(file, stored | (drawn(stored).astype(np.uint16) << plane)), plane), "L", "CC"
    )
    assert np.array_equal(declared.pixels, clean.pixels) and declared.facts["flags"] == clean.facts["flags"]


def test_two_declared_overlays_at_the_same_place_are_removed(file: Path) -> None:
    stored = tissue(13)
    drawn = stored | (text(stored).astype(np.uint16) << 15) | (text(stored).astype(np.uint16) << 14)
    source = read_mammogram(declaring(write_mammogram(file, drawn), 14, 15), "L", "CC")
    assert np.array_equal(source.pixels, read(file, stored).pixels)


def test_above_a_declared_overlay_another_one_is_removed_too(file: Path) -> None:
    stored = tissue()
    drawn = stored | (text(stored).astype(np.uint16) << 12) | (lines(stored).astype(np.uint16) << 15)
    source = read_mammogram(declaring(write_mammogram(file, drawn), 12), "L", "CC")
    assert np.array_equal(source.pixels, read(file, stored).pixels) and source.facts["flags"] == ["bits_removed"]


@pytest.mark.parametrize("plane", [10, 12, 14])
@pytest.mark.parametrize("image", [tissue, breast])
@pytest.mark.parametrize("bits", [12, 16])
def test_a_declared_overlay_that_is_brightness_is_left_over_and_not_believed(
    file: Path, plane: int, image: Callable[..., Pixels], bits: int
) -> None:
    stored = image(shape=(240, 192), bits=16)
    source = read_mammogram(declaring(write_mammogram(file, stored, bits=bits), plane), "L", "CC")
    expected = read(file, stored, bits=bits)
    assert np.array_equal(source.pixels, expected.pixels) and source.facts["flags"] == expected.facts["flags"]


@pytest.mark.parametrize("used", [12, 13])
@pytest.mark.parametrize("plane", [13, 15])
def test_a_declared_overlay_above_signed_pixels_is_removed(file: Path, used: int, plane: int) -> None:
    stored = (tissue(used).astype(np.int32) - (1 << (used - 1))).astype(np.int16)
    clean = read(file, stored)
    for high in (0, 0xFFFF):  # the sign is repeated up to the top, or only in the used bits
        bare = stored.view(np.uint16) & np.uint16((1 << (plane if not high else 16)) - 1)
        drawn = (bare ^ (text(tissue()).astype(np.uint16) << plane)).view(np.int16)
        source = read_mammogram(declaring(write_mammogram(file, drawn), plane), "L", "CC")
        assert np.array_equal(source.pixels, clean.pixels)


@pytest.mark.parametrize("bits", [14, 16])
def test_a_declared_overlay_within_the_declared_bits_is_removed(file: Path, bits: int) -> None:
    stored = tissue()
    drawn = stored | (text(stored).astype(np.uint16) << (bits - 1))
    source = read_mammogram(declaring(write_mammogram(file, drawn, bits=bits), bits - 1), "L", "CC")
    assert np.array_equal(source.pixels, read(file, stored, bits=bits).pixels)


@pytest.mark.parametrize("value", [4096, 8192, 32768, 65535])
@pytest.mark.parametrize("window", [None, (2048, 4096, None)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_beyond_the_declared_bits_needs_no_bits(file: Path, value: int, window: Any, photometric: str) -> None:
    stored = tissue() if photometric == "MONOCHROME2" else 4095 - tissue()
    padded, strip = stored.copy(), np.zeros(stored.shape, bool)
    strip[:, 165:] = tissue()[:, 165:] < 300
    padded[strip] = value
    source = read(file, padded, PixelPaddingValue=value, window=window, photometric=photometric)
    expected = read(file, stored, window=window, photometric=photometric)
    assert np.array_equal(source.pixels[~strip], expected.pixels[~strip])
    assert source.pixels[strip].max() == 0 and source.facts["flags"] == []


@pytest.mark.parametrize("value", [-32768, -4096, -2049, 2048, 32767])
def test_padding_beyond_the_declared_bits_of_signed_pixels_needs_no_bits(file: Path, value: int) -> None:
    stored = (tissue().astype(np.int32) - 2048).astype(np.int16)
    padded = stored.copy()
    padded[:, 165:] = value
    source = read(file, padded, PixelPaddingValue=value)
    assert np.array_equal(source.pixels[:, :165], read(file, stored).pixels[:, :165])
    assert source.pixels[:, 165:].max() == 0 and source.facts["flags"] == []


@pytest.mark.parametrize("image", [tissue, breast])
def test_a_range_of_padding_beyond_the_declared_bits_that_is_the_breast_is_brightness(
    file: Path, image: Callable[..., Pixels]
) -> None:
    stored = image(shape=(240, 192), bits=14)
    source = read(file, stored, PixelPaddingValue=4096, PixelPaddingRangeLimit=65535)
    assert np.array_equal(source.pixels, read(file, stored).pixels)
    assert "padding_in_breast" in source.facts["flags"] and "bits_exceeded" in source.facts["flags"]


@pytest.mark.parametrize("bits", [13, 14, 16])
@pytest.mark.parametrize("drawn", [text, lines])
def test_an_overlay_in_the_highest_of_the_declared_bits_is_removed(
    file: Path, bits: int, drawn: Callable[[Pixels], NDArray[np.bool_]]
) -> None:
    """A program that wrote BitsStored anew counted the overlay's bit too."""
    stored = tissue()
    overlay = drawn(stored).astype(np.uint16) << (bits - 1)
    for window in (None, (2048, 4096, None)):
        source, clean = (read(file, pixels, bits=bits, window=window) for pixels in (stored | overlay, stored))
        assert np.array_equal(source.pixels, clean.pixels)
        assert source.facts["flags"] == ["bits_removed", *clean.facts["flags"]]


def test_overlays_in_two_of_the_declared_bits_are_removed(file: Path) -> None:
    stored = tissue()
    drawn = stored | (text(stored).astype(np.uint16) << 14) | (lines(stored).astype(np.uint16) << 13)
    assert np.array_equal(read(file, drawn, bits=15).pixels, read(file, stored, bits=15).pixels)


@pytest.mark.parametrize("value", [2048, 2100, 3000, 4095])
@pytest.mark.parametrize("below", [1, 2, 4])
def test_labels_and_clips_in_declared_bits_are_kept(file: Path, value: int, below: int) -> None:
    stored = tissue() // np.uint16(below)
    stored[60:70, 30:60] = stored[10:20, 150:170:3] = value
    source = read(file, stored)
    assert source.pixels[65, 40] == pytest.approx(value * 65535 / 4095, abs=0.1)
    assert "bits_removed" not in source.facts["flags"]
