"""A ruined grey scale is seen in the result: flagged, and left out beyond a limit, always under its own name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import write_mammogram
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from test_stored_bits import tissue

from mammogan.data.dicom.read import Reading, Source, Unusable, Voi, read_mammogram

TWELVE = (2048, 4096, "LINEAR")


def read(path: Path, pixels: NDArray[Any], voi: Voi = "header", **options: Any) -> Source:
    return read_mammogram(write_mammogram(path, pixels, **options), "L", "CC", Reading(voi))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.dcm"


def lut(entries: NDArray[Any], first: int = 0, bits: int = 12) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = entries.astype("<u2").tobytes()
    return item


def test_pixels_stretched_to_sixteen_bits_under_the_old_window_are_left_out(file: Path) -> None:
    stored = tissue()
    assert read(file, stored, window=TWELVE).facts["flags"] == []
    with pytest.raises(Unusable, match="grey_scale_ruined"):
        read(file, stored * 16, bits=16, window=TWELVE)
    policies: tuple[Voi, ...] = ("linear_bits", "none")
    for policy in policies:  # they do not use the file's window
        assert read(file, stored * 16, policy, bits=16, window=TWELVE).facts["flags"] == []


def test_inverted_pixels_stretched_to_sixteen_bits_are_beside_the_old_window(file: Path) -> None:
    stored = (4095 - tissue()) * 16
    source = read(file, stored, bits=16, window=TWELVE, photometric="MONOCHROME1")
    assert source.facts["flags"] == ["window_invalid"]
    assert np.array_equal(source.pixels, read(file, stored, bits=16, photometric="MONOCHROME1").pixels)


@pytest.mark.parametrize(("factor", "bits"), [(2, 13), (3, 14)])
def test_a_breast_that_is_white_in_large_part_is_flagged(file: Path, factor: int, bits: int) -> None:
    source = read(file, tissue() * factor, bits=bits, window=TWELVE)
    assert source.facts["flags"] == ["grey_scale_doubtful"]


def test_a_white_implant_is_no_fault(file: Path) -> None:
    stored = tissue()
    row, col = np.mgrid[:240, :192]
    stored[((row - 110) / 45) ** 2 + ((col - 30) / 40) ** 2 < 1] = 4095
    assert read(file, stored, window=TWELVE).facts["flags"] == []


@pytest.mark.parametrize("transform", ["window", "rescale", "lut"])
def test_a_breast_that_is_black_is_left_out_and_one_that_is_half_black_is_flagged(file: Path, transform: str) -> None:
    stored = tissue()
    stored[50:54, 60:64] = 4095  # something stays visible
    for edge, ruined in ((3950, True), (2600, False)):
        steep = np.clip(np.arange(4096.0) - edge, 0, None) * 4095 / (4095 - edge)
        options: dict[str, dict[str, Any]] = {
            "window": {"window": ((4095 + edge) / 2, 4095 - edge, None)},
            "rescale": {"RescaleSlope": 1, "RescaleIntercept": -edge, "window": ((4095 - edge) / 2, 4095 - edge, None)},
            "lut": {"VOILUTSequence": [lut(np.rint(steep))]},
        }
        if ruined:
            with pytest.raises(Unusable, match="grey_scale_ruined"):
                read(file, stored, **options[transform])
        else:
            assert read(file, stored, **options[transform]).facts["flags"] == ["grey_scale_doubtful"]


def test_few_bits_declared_as_many_are_flagged_and_left_out_when_nothing_can_be_seen(file: Path) -> None:
    assert read(file, tissue(), bits=16).facts["flags"] == ["grey_scale_doubtful"]
    assert read(file, tissue(), bits=16, window=(32768, 65536, None)).facts["flags"] == ["grey_scale_doubtful"]
    with pytest.raises(Unusable, match="grey_scale_ruined"):
        read(file, tissue(8), bits=16)


def test_few_grey_values_in_a_breast_are_flagged(file: Path) -> None:
    source = read(file, (tissue() // 512 * 512).astype(np.uint16))
    assert source.facts["flags"] == ["eight_bit_content", "grey_scale_doubtful"]


@pytest.mark.parametrize("center", [-3000, 9000, 1e6])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_beside_the_data_is_left_out_like_other_invalid_ones(
    file: Path, center: float, function: str, photometric: str
) -> None:
    stored = tissue() if photometric == "MONOCHROME2" else 4095 - tissue()
    source = read(file, stored, window=(center, 400, function), photometric=photometric)
    assert source.facts["flags"] == ["window_invalid"] and source.facts["voi"]["kind"] == "bits"
    assert np.array_equal(source.pixels, read(file, stored, photometric=photometric).pixels)


def test_a_window_that_is_much_wider_than_the_data_is_left_out(file: Path) -> None:
    source = read(file, tissue(), window=(0, 1e9, "LINEAR"))
    assert source.facts["flags"] == ["window_invalid"]
    assert np.array_equal(source.pixels, read(file, tissue()).pixels)


@pytest.mark.parametrize("entries", [np.full(4096, 7), np.zeros(4096), np.arange(300)])
def test_a_voi_lut_that_shows_nothing_gives_way_to_the_window(file: Path, entries: NDArray[Any]) -> None:
    beside = lut(entries, first=30000)
    source = read(file, tissue(), window=TWELVE, VOILUTSequence=[beside])
    assert source.facts["flags"] == ["voi_lut_invalid"] and source.facts["voi"]["kind"] == "window"


def test_a_modality_lut_that_cannot_be_applied_is_flagged_and_left_out(file: Path) -> None:
    stored = tissue()
    broken = Dataset()
    broken.LUTDescriptor = [4096, 0, 99]
    broken.LUTData = b"\0\0"
    for item in (broken, Dataset(), lut(np.full(4096, 5)), lut(np.arange(4096), first=20000)):
        source = read(file, stored, ModalityLUTSequence=[item])
        assert source.facts["flags"] == ["modality_lut_invalid"]
        assert np.array_equal(source.pixels, read(file, stored).pixels)
    source = read(
        file, stored, ModalityLUTSequence=[broken], RescaleSlope=2, RescaleIntercept=0, window=(2048, 2048, None)
    )
    assert np.allclose(source.pixels, read(file, stored, window=(1024, 1024, None)).pixels, atol=80)


@pytest.mark.parametrize("slope", [0, 1e-13, 1e13])
def test_a_rescale_that_leaves_nothing_is_flagged_and_left_out(file: Path, slope: float) -> None:
    source = read(file, tissue(), RescaleSlope=slope, RescaleIntercept=5)
    assert source.facts["flags"] == ["rescale_invalid"]
    assert np.array_equal(source.pixels, read(file, tissue()).pixels)


@pytest.mark.parametrize("limits", [(0, 4095), (1, 4095), (400, 4095), (300, 2600)])
def test_a_padding_range_that_covers_the_breast_is_taken_for_brightness(file: Path, limits: tuple[int, int]) -> None:
    stored = tissue()
    source = read(file, stored, PixelPaddingValue=limits[0], PixelPaddingRangeLimit=limits[1])
    assert source.facts["flags"] == ["padding_in_breast"]
    assert np.array_equal(source.pixels, read(file, stored).pixels)


def test_a_padding_range_of_air_or_of_a_bright_border_is_padding(file: Path) -> None:
    stored = tissue() + 200
    stored[:, 150:] = np.random.default_rng(0).integers(0, 100, (240, 42))
    source = read(file, stored, PixelPaddingValue=0, PixelPaddingRangeLimit=99)
    assert source.pixels[:, 150:].max() == 0 and "padding_in_breast" not in source.facts["flags"]
    bright = np.array(4095 - tissue())
    bright[:, 150:] = np.random.default_rng(0).integers(0, 3, (240, 42))
    source = read(file, bright, photometric="MONOCHROME1", PixelPaddingValue=0, PixelPaddingRangeLimit=3)
    assert source.pixels[:, 150:].max() == 0 and source.facts["flags"] == []


@pytest.mark.parametrize("bits", [12, 16])
def test_pixels_whose_bytes_were_swapped_are_left_out(file: Path, bits: int) -> None:
    with pytest.raises(Unusable, match=r"grey_scale_ruined.*of stored neighbours in the breast differ by most"):
        read(file, tissue(bits).byteswap(), bits=bits)


@pytest.mark.parametrize("factor", [1, 2.7])
def test_a_breast_of_which_the_brighter_part_was_cut_off_is_flagged(file: Path, factor: float) -> None:
    cut = np.rint(np.minimum(tissue(), 1500) * factor).astype(np.uint16)  # 2.7: stretched again, to less than white
    assert read(file, cut, window=TWELVE).facts["flags"] == ["grey_scale_doubtful"]
    with pytest.raises(Unusable, match=r"grey_scale_ruined.*9\d% of the breast have one grey value"):
        read(file, np.minimum(tissue(), 300) * np.uint16(12), window=TWELVE)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_sixteen_bits_under_the_wrong_sign_are_left_out(file: Path, photometric: str) -> None:
    stored = tissue(16) if photometric == "MONOCHROME2" else 65535 - tissue(16)
    signed = (stored.astype(np.int32) - 32768).astype(np.int16)
    below_zero = (tissue(15).astype(np.int32) - 200).astype(np.int16)
    for sound, ruined in ((stored, stored.view(np.int16)), (signed, signed.view(np.uint16))):
        assert read(file, sound, bits=16, photometric=photometric).facts["flags"] == []
        with pytest.raises(Unusable, match="bits_contradict"):
            read(file, ruined, bits=16, photometric=photometric)
    with pytest.raises(Unusable, match="bits_contradict"):
        read(file, below_zero.view(np.uint16), bits=16)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_fewer_bits_in_twos_complement_that_are_declared_as_unsigned_are_left_out(
    file: Path, bits: int, photometric: str
) -> None:
    stored = tissue(bits) if photometric == "MONOCHROME2" else ((1 << bits) - 1 - tissue(bits)).astype(np.uint16)
    signed = (stored.astype(np.int32) - (1 << (bits - 1))).astype(np.int16)
    assert read(file, signed, bits=bits, photometric=photometric).facts["flags"] == []
    with pytest.raises(Unusable, match="bits_contradict"):
        read(file, signed.view(np.uint16) & np.uint16((1 << bits) - 1), bits=bits, photometric=photometric)


def test_white_labels_and_borders_on_black_are_no_wrong_sign(file: Path) -> None:
    stored = tissue(15, shape=(480, 384))
    stored[10:20, 300:360:2] = 65535
    stored[:, -6:] = np.random.default_rng(0).integers(65000, 65536, (480, 6))
    assert read(file, stored, bits=16).facts["bits_stored"] == 16


def test_values_that_wrapped_around_are_flagged(file: Path) -> None:
    stored = tissue()
    found = [read(file, stored % 1024)]
    for disorder in (np.random.default_rng(0).permutation(4096), np.arange(4096) % 256):
        found.append(read(file, stored, VOILUTSequence=[lut(disorder, bits=int(disorder.max()).bit_length())]))
    assert all("grey_scale_doubtful" in source.facts["flags"] for source in found)


@pytest.mark.parametrize("width", [1, 40])
def test_a_window_that_leaves_only_black_and_white_is_left_out(file: Path, width: float) -> None:
    with pytest.raises(Unusable, match="of the breast are white or black"):
        read(file, tissue(), window=(float(np.median(tissue()[tissue() > 0])), width, None))


def small_breast() -> NDArray[np.uint16]:
    """A small breast on a large detector."""
    canvas = np.zeros((720, 576), np.uint16)
    canvas[200:440, :192] = tissue()
    return canvas


def framed(stored: NDArray[np.uint16], top: int, bottom: int, right: int) -> NDArray[np.uint16]:
    """What a white collimator leaves free, which no header declares."""
    height, width = stored.shape
    frame = np.full_like(stored, 4095)
    field = slice(top, height - bottom), slice(None, width - right)
    frame[field] = stored[field]
    return frame


@pytest.mark.parametrize("wide", [(72, 72, 58), (73, 71, 59), (108, 108, 172), (0, 0, 144), (0, 150, 0), (70, 70, 0)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_white_collimator_around_a_small_breast_is_not_taken_for_it(
    file: Path, wide: tuple[int, int, int], photometric: str
) -> None:
    framed_breast, alone = framed(small_breast(), *wide), small_breast()
    if photometric == "MONOCHROME1":
        framed_breast, alone = 4095 - framed_breast, 4095 - alone
    source, expected = (read(file, pixels, photometric=photometric) for pixels in (framed_breast, alone))
    assert source.facts["flags"] == expected.facts["flags"] == []
    assert source.breast == expected.breast
    mirrored = read_mammogram(
        write_mammogram(file, np.ascontiguousarray(framed_breast[:, ::-1]), "R", photometric=photometric), "R", "CC"
    )
    assert np.array_equal(mirrored.pixels, source.pixels) and mirrored.flip_h and mirrored.facts["flags"] == []


def test_a_label_in_the_white_collimator_does_not_hide_it(file: Path) -> None:
    stored = framed(small_breast(), 72, 72, 58)
    stored[20:40, 300:340:2] = 0
    assert read(file, stored).facts["flags"] == []


def test_a_white_breast_is_left_out_with_and_without_a_white_collimator(file: Path) -> None:
    white = np.where(small_breast() > 200, 4095, 0).astype(np.uint16)
    tight = white[240:400, :120].copy()  # the breast fills the image, and reaches along whole sides
    for stored in (white, framed(white, 72, 72, 58), tight):
        with pytest.raises(Unusable, match=r"grey_scale_ruined.*of the breast are white"):
            read(file, stored)


def saturated(edge: int, uneven: float) -> NDArray[np.uint16]:
    """A breast that the sensor cut off at ``edge``, before each pixel was corrected for its own sensitivity."""
    gain = np.random.default_rng(0).normal(1, uneven, (240, 192))
    return np.clip(np.minimum(tissue(), edge) / edge * 3800 * gain, 0, 4095).astype(np.uint16)


def squeezed(share: int) -> NDArray[np.uint16]:
    """A breast that takes up one part of ``share`` of the scale, in its middle, on black air."""
    return np.where(tissue() > 200, 2000 + tissue() // share, tissue()).astype(np.uint16)


@pytest.mark.parametrize("options", [{}, {"window": TWELVE}])
def test_a_breast_without_contrast_is_left_out(file: Path, options: dict[str, Any]) -> None:
    for stored in (saturated(300, 0.004), saturated(400, 0.002), squeezed(64), squeezed(128)):
        for photometric, pixels in (("MONOCHROME2", stored), ("MONOCHROME1", 4095 - stored)):
            with pytest.raises(Unusable, match=r"grey_scale_ruined.*90% of the breast lie within \d\.\d% of"):
                read(file, pixels, photometric=photometric, **options)


def test_a_breast_with_little_contrast_is_flagged(file: Path) -> None:
    for stored in (saturated(1000, 0.004), saturated(300, 0.01), squeezed(16), squeezed(32)):
        assert "grey_scale_doubtful" in read(file, stored).facts["flags"]


@pytest.mark.parametrize("share", [2, 4])
def test_a_breast_that_takes_up_part_of_the_scale_is_sound(file: Path, share: int) -> None:
    assert read(file, squeezed(share)).facts["flags"] == []


def every_other_lost(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.where(np.arange(len(stored))[:, None] % 2, 0, stored).astype(np.uint16)


def the_others_lost(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.where(np.arange(len(stored))[:, None] % 2, stored, 0).astype(np.uint16)


def two_of_four_lost(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.where(np.arange(len(stored))[:, None] % 4 < 2, 0, stored).astype(np.uint16)


def every_third_darker(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.where(np.arange(len(stored))[:, None] % 3 == 2, stored // 4, stored).astype(np.uint16)


def every_other_darker(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.where(np.arange(len(stored))[:, None] % 2, stored // 4, stored).astype(np.uint16)


def halves_alternating(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.stack(np.split(stored, 2), axis=1).reshape(stored.shape)


def shuffled(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.random.default_rng(0).permutation(stored)


@pytest.mark.parametrize("shape", [(240, 192), (480, 384), (2000, 1600)])
@pytest.mark.parametrize(
    "scramble",
    [
        every_other_lost,
        the_others_lost,
        every_third_darker,
        every_other_darker,
        halves_alternating,
        shuffled,
    ],
)
def test_rows_or_columns_that_do_not_belong_together_are_left_out(
    file: Path, scramble: Callable[[NDArray[np.uint16]], NDArray[np.uint16]], shape: tuple[int, int]
) -> None:
    stored = tissue(shape=shape)
    for photometric, top in (("MONOCHROME2", 0), ("MONOCHROME1", 4095)):
        for pixels in (scramble(stored), np.ascontiguousarray(scramble(stored.T.copy()).T)):
            with pytest.raises(Unusable, match="grey_scale_ruined"):
                read(file, np.abs(top - pixels.astype(np.int32)).astype(np.uint16), photometric=photometric)


def test_exchanged_rows_and_columns_are_left_out(file: Path) -> None:
    for scrambled in (tissue().reshape(192, 240), tissue().T.copy().reshape(240, 192)):
        with pytest.raises(Unusable, match=r"grey_scale_ruined.*neighbours in one direction differ by \d\d% of the"):
            read(file, scrambled)


def test_lost_pairs_of_rows_are_left_out(file: Path) -> None:
    for shape in ((480, 384), (2000, 1600)):
        with pytest.raises(Unusable, match="grey_scale_ruined"):
            read(file, two_of_four_lost(tissue(shape=shape)))


def test_rows_that_are_each_shifted_further_are_flagged(file: Path) -> None:
    sheared = tissue().ravel()[: 240 * 180].reshape(240, 180)  # Columns is 12 too small
    assert "grey_scale_doubtful" in read(file, sheared).facts["flags"]


@pytest.mark.parametrize("times", [(2, 1), (1, 2), (4, 1), (1, 4), (3, 3)])
def test_repeated_lines_are_no_fault(file: Path, times: tuple[int, int]) -> None:
    stored = np.repeat(np.repeat(tissue(), times[0], 0), times[1], 1)
    assert read(file, stored).facts["flags"] == []
