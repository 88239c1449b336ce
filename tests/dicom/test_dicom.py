"""One DICOM file to canonical brightness, with the quirks of files in the wild."""

from __future__ import annotations

import resource
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from dicoms import breast, write_mammogram
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi_lut
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEG2000Lossless, SecondaryCaptureImageStorage

from mammogan.data.cohort.cohort import Mammogram
from mammogan.data.cohort.pseudonyms import Pseudonyms
from mammogan.data.conversion.convert_image import Converted, Skipped, Task, convert
from mammogan.data.conversion.one_mammogram import read_mammogram as read_one
from mammogan.data.dicom.read import Reading, Source, Unusable, place, read_mammogram
from mammogan.workspace import Resolution

RAW = "1.2.840.10008.5.1.4.1.1.1.2.1"


def read(path: Path, pixels: np.ndarray, laterality: str = "L", view: str = "CC", **options: Any) -> Source:
    return read_mammogram(write_mammogram(path, pixels, laterality, view, **options), laterality, view)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "image.dcm"


def test_sixteen_bits_without_a_window_are_kept_as_they_are(file: Path) -> None:
    stored = breast(bits=16)
    assert np.array_equal(read(file, stored, bits=16).pixels, stored)


def test_twelve_bits_without_a_window_use_the_full_scale(file: Path) -> None:
    stored = breast()
    stored[40, 10] = 4095
    source = read(file, stored)
    assert np.allclose(source.pixels, stored * (65535 / 4095), atol=0.01)
    assert source.facts["voi"] == {"policy": "header", "kind": "bits"}


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (1500, 900), (3000.5, 257)])
def test_windows_agree_with_pydicoms(file: Path, function: str | None, center: float, width: float) -> None:
    stored = breast()
    path = write_mammogram(file, stored, window=(center, width, function))
    source = read_mammogram(path, "L", "CC")
    expected = apply_voi_lut(stored, pydicom.dcmread(path)) * (65535 / 4095)
    if function == "SIGMOID":
        foot = expected[0, 95]
        expected = (expected - foot) * (65535 / (65535 - foot))
    assert np.allclose(source.pixels, np.clip(expected, 0, 65535), atol=0.02)


def test_an_empty_function_name_means_linear(file: Path) -> None:
    stored = breast()
    empty = read(file, stored, window=(2000, 1000, ""))
    assert np.array_equal(empty.pixels, read(file, stored, window=(2000, 1000, "LINEAR")).pixels)
    assert empty.facts["voi"]["function"] == "LINEAR"


def test_the_first_of_several_windows_counts(file: Path) -> None:
    stored = breast()
    several = read(file, stored, WindowCenter=[2000, 1000], WindowWidth=[1000, 500])
    assert np.array_equal(several.pixels, read(file, stored, window=(2000, 1000, None)).pixels)


def test_an_impossible_window_is_flagged_and_left_out(file: Path) -> None:
    stored = breast()
    source = read(file, stored, window=(2000, 0, None))
    assert source.facts["flags"] == ["window_invalid"]
    assert np.array_equal(source.pixels, read(file, stored).pixels)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
def test_monochrome1_and_2_twins_give_equal_pixels(file: Path, function: str | None) -> None:
    stored = breast()
    window = (2047.5, 3000, function)
    mirrored = (2047.5 if function != "LINEAR" and function is not None else 2048.5, 3000, function)
    plain = read(file, stored, window=window)
    inverted = read(file, (4095 - stored).astype(np.uint16), photometric="MONOCHROME1", window=mirrored)
    assert np.allclose(plain.pixels, inverted.pixels, atol=0.01)
    assert inverted.facts["photometric"] == "MONOCHROME1"


def test_monochrome1_is_inverted_once_although_its_lut_shape_says_so_too(file: Path) -> None:
    stored = breast()
    twice = read(file, (4095 - stored).astype(np.uint16), photometric="MONOCHROME1", PresentationLUTShape="INVERSE")
    assert np.allclose(twice.pixels, read(file, stored).pixels, atol=0.01)


def test_inversion_is_about_the_scale_and_not_about_the_brightest_pixel(file: Path) -> None:
    stored = (4000 - breast() // 2).astype(np.uint16)
    write_mammogram(file, stored, photometric="MONOCHROME1")
    source = read_mammogram(file, "L", "CC", Reading("linear_bits"))
    assert source.pixels[0, 95] == pytest.approx(65535 * 95 / 4095, abs=0.01)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_sigmoid_leaves_the_background_at_zero_and_the_top_where_it_was(file: Path, photometric: str) -> None:
    stored = breast()
    stored[40, 10] = 4095
    if photometric == "MONOCHROME1":
        stored = (4095 - stored).astype(np.uint16)
    source = read(file, stored, photometric=photometric, window=(2048, 4096, "SIGMOID"))
    assert source.pixels[:, 70:].max() == 0
    assert source.pixels.max() > 0.85 * 65535
    assert source.facts["voi"]["background"] > 0


def test_a_full_range_window_on_eight_bits_is_left_out(file: Path) -> None:
    stored = breast(bits=8).astype(np.uint8)
    source = read(file, stored, bits=8, window=(128, 256, "SIGMOID"))
    assert np.array_equal(source.pixels, stored.astype(np.float32) * 257)
    assert source.facts["voi"]["kind"] == "skipped_8bit"


def test_a_voi_lut_comes_before_a_window(file: Path) -> None:
    stored = breast()
    lut = Dataset()
    lut.LUTDescriptor = [4096, 0, 12]
    lut.LUTData = (4095 * (np.arange(4096) / 4095) ** 2).astype("<u2").tobytes()
    path = write_mammogram(file, stored, window=(100, 100, None), VOILUTSequence=[lut])
    source = read_mammogram(path, "L", "CC")
    assert np.allclose(source.pixels, apply_voi_lut(stored, pydicom.dcmread(path)) * (65535 / 4095), atol=0.01)
    assert source.facts["voi"]["kind"] == "lut"


def write_with_lut(path: Path, keyword: str, big_endian: bool, entries: NDArray[np.uint16], bits: int) -> Path:
    """A file with a LUT of 4096 entries as words that nobody swaps (OW)."""
    stored, item = breast(), Dataset()
    item.LUTDescriptor = [4096, 0, bits]
    item.add_new(0x00283006, "OW", entries.astype(">u2" if big_endian else "<u2").tobytes())
    dataset = pydicom.dcmread(write_mammogram(path, stored, **{keyword: [item]}))
    dataset.PixelData = stored.astype(">u2" if big_endian else "<u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian if big_endian else ExplicitVRLittleEndian
    pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=not big_endian, force_encoding=True)
    return path


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_lut_of_words_is_read_in_the_byte_order_of_its_file(file: Path, keyword: str) -> None:
    curve = np.rint(4095 * (np.arange(4096) / 4095) ** 2).astype(np.uint16)
    little, big = (
        read_mammogram(write_with_lut(file, keyword, big_endian, curve, 12), "L", "CC") for big_endian in (False, True)
    )
    assert np.array_equal(big.pixels, little.pixels) and big.facts == little.facts
    assert np.allclose(big.pixels, curve[breast()] * (65535 / 4095), atol=0.01)


def test_a_lut_that_stays_in_the_lower_half_of_its_range_is_flagged(file: Path) -> None:
    for top, flags in ((4095, ["voi_lut_range"]), (32767, ["voi_lut_range"]), (40000, []), (65535, [])):
        curve = np.rint(np.linspace(0, top, 4096)).astype(np.uint16)
        source = read_mammogram(write_with_lut(file, "VOILUTSequence", False, curve, 16), "L", "CC")
        assert source.facts["flags"] == flags
        assert np.allclose(source.pixels, curve[breast()], atol=0.01)


def test_a_rescale_comes_before_the_window(file: Path) -> None:
    stored = breast()
    rescaled = read(file, stored, RescaleSlope=2, RescaleIntercept=-100, window=(1900.5, 2001, None))
    assert np.allclose(rescaled.pixels, read(file, stored, window=(1000.5, 1001, None)).pixels, atol=40)
    assert rescaled.pixels.max() == 65535


def test_signed_pixels_are_read_as_signed(file: Path) -> None:
    stored = breast()
    signed = (stored.astype(np.int32) - 2048).astype(np.int16)
    assert np.allclose(read(file, signed).pixels, read(file, stored).pixels, atol=0.01)


def test_values_beyond_the_bits_declared_are_kept_and_flagged(file: Path) -> None:
    stored = breast()
    stored[40, 10] = 8000
    source = read(file, stored)
    assert source.facts["flags"] == ["bits_exceeded"]
    assert source.pixels[40, 10] == pytest.approx(8000 * 65535 / 8191, abs=0.01)


def test_an_overlay_in_unused_bits_is_no_pixel_value(file: Path) -> None:
    stored = breast()
    drawn = stored.copy()
    drawn[20:30, 20:30] |= 1 << 14
    path = write_mammogram(file, drawn)
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x60000102, "US", 14)
    dataset.save_as(path)
    assert np.array_equal(read_mammogram(path, "L", "CC").pixels, read(file, stored).pixels)


def test_declared_padding_becomes_background_unless_it_is_common_in_the_breast(file: Path) -> None:
    stored = breast()
    stored[:, 80:] = 700
    assert read(file, stored, PixelPaddingValue=700).pixels[:, 80:].max() == 0
    stored = breast()
    stored[35:50, 10:30] = 700
    wrong = read(file, stored, PixelPaddingValue=700)
    assert "padding_in_breast" in wrong.facts["flags"]
    assert wrong.pixels[40, 20] > 0


@pytest.mark.parametrize("function", [None, "LINEAR", "SIGMOID"])
@pytest.mark.parametrize("laterality", ["L", "R"])
def test_padding_that_inversion_makes_bright_is_not_taken_for_the_breast(
    file: Path, laterality: str, function: str | None
) -> None:
    """MONOCHROME1, and 45% of the columns are padding of 0, on the side away from the breast."""
    tissue = breast((96, 160))
    tissue[:, 88:] = 0
    stored = (4095 - tissue).astype(np.uint16)
    window = (2048, 4096, function) if function else None
    bare = read(file, stored, photometric="MONOCHROME1", window=window)
    stored[:, 88:] = 0
    if laterality == "R":
        stored = stored[:, ::-1].copy()
    source = read(file, stored, laterality, photometric="MONOCHROME1", window=window, PixelPaddingValue=0)
    assert source.facts["flags"] == [] and source.flip_h == (laterality == "R")
    assert source.pixels[:, 88:].max() == 0
    assert np.allclose(source.pixels[:, :88], bare.pixels[:, :88], atol=0.01)


def test_a_bright_implant_of_the_declared_padding_value_stays_bright(file: Path) -> None:
    """It reaches the chest wall, so that the breast does not surround it."""
    tissue = breast()
    tissue[35:50, :30] = 4095
    stored = (4095 - tissue).astype(np.uint16)
    source = read(file, stored, photometric="MONOCHROME1", PixelPaddingValue=0)
    assert source.facts["flags"] == ["padding_in_breast"]
    assert source.pixels[40, 5] == 65535


def test_the_policy_linear_bits_ignores_the_headers_window(file: Path) -> None:
    stored = breast()
    path = write_mammogram(file, stored, window=(100, 100, None))
    found = read_mammogram(path, "L", "CC", Reading("linear_bits"))
    assert np.allclose(found.pixels, stored * (65535 / 4095), atol=0.01)


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("clean", [False, True])
def test_the_policy_none_keeps_the_stored_numbers(file: Path, photometric: str, clean: bool) -> None:
    stored = breast()
    shown = stored if photometric == "MONOCHROME2" else 4095 - stored
    path = write_mammogram(file, shown, window=(100, 100, None), photometric=photometric)
    found = read_mammogram(path, "L", "CC", Reading("none", clean_background=clean))
    assert np.allclose(found.pixels, stored, atol=0.001)
    assert found.facts["voi"] == {"policy": "none", "kind": "bits"}


@pytest.mark.parametrize("slope", [2, 0.001])
def test_the_policy_none_leaves_the_rescale_out_too(file: Path, slope: float) -> None:
    stored = breast()
    write_mammogram(file, stored, RescaleSlope=slope, RescaleIntercept=-100)
    found = read_mammogram(file, "L", "CC", Reading("none"))
    assert np.allclose(found.pixels, stored, atol=0.001) and found.top == 4095


@pytest.mark.parametrize(("bits", "top"), [(10, 1023), (12, 4095), (14, 16383)])
def test_the_policy_none_ends_at_the_largest_number_of_the_stored_bits_at_hard_edges_too(
    file: Path, bits: int, top: int
) -> None:
    stored = np.zeros((400, 300), np.uint16)
    stored[100:300, :150] = top
    write_mammogram(file, stored, bits=bits)
    pixels, _ = place(read_mammogram(file, "L", "CC", Reading("none")), Resolution(96, 96))
    assert pixels.max() == top and (pixels == top).sum() > 400


def test_of_several_windows_the_requested_one_is_taken(file: Path) -> None:
    stored = breast()
    write_mammogram(file, stored, WindowCenter=[2048, 2400], WindowWidth=[4096, 1800])
    second = read_mammogram(file, "L", "CC", Reading(voi_index=1))
    third = read_mammogram(file, "L", "CC", Reading(voi_index=2))
    assert np.array_equal(second.pixels, read(file, stored, window=(2400, 1800, None)).pixels)
    assert np.array_equal(third.pixels, read(file, stored, window=(2048, 4096, None)).pixels)
    assert (second.facts["voi"]["index"], second.facts["flags"]) == (1, ["grey_scale_doubtful"])  # noise, narrow window
    assert (third.facts["voi"]["index"], third.facts["flags"]) == (0, ["voi_index_absent"])
    assert Reading.of(second.facts) == Reading(voi_index=1)


def test_of_several_luts_the_requested_one_is_taken(file: Path) -> None:
    stored, luts = breast(), []
    for power in (1, 2):
        lut = Dataset()
        lut.LUTDescriptor = [4096, 0, 12]
        lut.LUTData = (4095 * (np.arange(4096) / 4095) ** power).astype("<u2").tobytes()
        luts.append(lut)
    path = write_mammogram(file, stored, VOILUTSequence=luts)
    found = read_mammogram(path, "L", "CC", Reading(voi_index=1))
    assert np.allclose(found.pixels, apply_voi_lut(stored, pydicom.dcmread(path), 1) * (65535 / 4095), atol=0.01)


def test_a_right_breast_equals_the_mirrored_left_one(file: Path) -> None:
    stored = breast()
    left, right = read(file, stored), read(file, stored[:, ::-1].copy(), "R")
    assert np.array_equal(left.pixels, right.pixels)
    assert (left.flip_h, right.flip_h) == (False, True)
    assert right.facts["flags"] == []


def test_pixels_win_over_the_header_and_the_disagreement_is_flagged(file: Path) -> None:
    source = read(file, breast()[:, ::-1].copy(), "L")
    assert source.flip_h and np.array_equal(source.pixels, read(file, breast()).pixels)
    assert source.facts["flags"] == ["orientation_disagrees"]


def test_patient_orientation_is_believed_over_laterality_where_pixels_cannot_tell(file: Path) -> None:
    everywhere = np.random.default_rng(0).integers(1000, 3000, (96, 96)).astype(np.uint16)
    assert not read(file, everywhere, "L").flip_h
    assert read(file, everywhere, "L", PatientOrientation=["P", "L"]).flip_h
    assert read(file, everywhere, "R", PatientOrientation="CC").flip_h


def test_bright_film_edges_and_labels_do_not_decide_the_side(file: Path) -> None:
    stored = breast((300, 260))
    stored[:, -5:] = stored[:4] = stored[-4:] = 4095
    stored[20:40, 180:250] = 4000
    source = read(file, stored, "R")
    assert not source.flip_h and source.facts["flags"] == ["orientation_disagrees"]


@pytest.mark.parametrize(
    ("view", "down", "flipped"), [("CC", "R", False), ("CC", "L", True), ("MLO", "F", False), ("MLO", "H", True)]
)
def test_an_image_that_the_header_calls_upside_down_is_turned(file: Path, view: str, down: str, flipped: bool) -> None:
    source = read(file, breast(), "L", view, PatientOrientation=["A", down])
    assert source.flip_v == flipped == ("upside_down" in source.facts["flags"])
    assert np.array_equal(source.pixels, read(file, breast()).pixels[:: -1 if flipped else 1])


def test_a_header_that_names_another_side_or_view_than_the_table_is_flagged(file: Path) -> None:
    path = write_mammogram(file, breast(), "R", "MLO")
    assert read_mammogram(path, "L", "CC").facts["flags"] == ["laterality_disagrees", "view_disagrees"]


@pytest.mark.parametrize("word", ["Right", "RIGHT", "r", "Left", "left ", "l"])
def test_a_side_that_a_header_writes_as_a_word_is_compared_with_the_table(file: Path, word: str) -> None:
    named = word.strip().upper()[0]
    with warnings.catch_warnings(action="ignore"):
        write_mammogram(file, breast(), ImageLaterality=word)
    flags = {side: read_mammogram(file, side, "CC").facts["flags"] for side in "LR"}
    assert ("laterality_disagrees" in flags["L"], "laterality_disagrees" in flags["R"]) == (named == "R", named == "L")
    assert torch.equal(read_one(file, "96x96", view="CC"), read_one(file, "96x96", laterality=named, view="CC"))


@pytest.mark.parametrize(
    ("options", "flagged"),
    [
        ({"ImagerPixelSpacing": [0.07, 0.14]}, True),
        ({"ImagerPixelSpacing": [0.14, 0.07]}, True),
        ({"ImagerPixelSpacing": [0.0700, 0.0703]}, False),
        ({"without": ["ImagerPixelSpacing"], "PixelSpacing": [0.1, 0.2]}, True),
        ({"without": ["ImagerPixelSpacing"], "PixelAspectRatio": [1, 2]}, True),
        ({"without": ["ImagerPixelSpacing"], "PixelAspectRatio": [2, 2]}, False),
        ({"without": ["ImagerPixelSpacing"]}, False),
    ],
)
def test_pixels_that_are_not_square_are_flagged_unless_their_size_is_made_right(
    file: Path, options: dict[str, Any], flagged: bool
) -> None:
    write_mammogram(file, breast(), **options)
    row = Mammogram(2, "key", "patient", file, "L", "CC", "negative", "train", None)
    outcome = convert(Task(row, (Resolution(96, 96),), Pseudonyms(b"secret")))
    assert isinstance(outcome, Converted)
    assert outcome.members[Resolution(96, 96)].flags == (("pixels_not_square",) if flagged else ())
    if flagged and "PixelAspectRatio" not in options:
        physical = convert(Task(row, (Resolution(96, 96),), Pseudonyms(b"secret"), fit="physical"))
        assert isinstance(physical, Converted)
        assert "pixels_not_square" not in physical.members[Resolution(96, 96)].flags


def test_spacing_is_the_detectors_and_nonsense_is_none(file: Path) -> None:
    assert read(file, breast(), PixelSpacing=[1, 1]).facts["source_spacing_mm"] == [0.07, 0.07]
    assert read(file, breast(), ImagerPixelSpacing=[0, 0]).facts["source_spacing_mm"] is None
    assert read(file, breast(), without=["ImagerPixelSpacing"]).facts["source_spacing_mm"] is None


def test_film_and_synthetic_images_say_so(file: Path) -> None:
    film = read(file, breast(), SOPClassUID=SecondaryCaptureImageStorage).facts
    assert film["film"] and not film["synthetic"]
    synthetic = read(file, breast(), SyntheticData="YES").facts
    assert synthetic["synthetic"] and not synthetic["film"]


def test_eight_bit_content_in_twelve_bits_is_flagged(file: Path) -> None:
    assert read(file, (breast() // 64 * 64).astype(np.uint16)).facts["flags"] == ["eight_bit_content"]


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("multiframe", {"NumberOfFrames": 3}),
        ("multiframe", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.3"}),
        ("not_mg", {"Modality": "US"}),
        ("for_processing", {"PresentationIntentType": "FOR PROCESSING"}),
        ("for_processing", {"SOPClassUID": RAW, "without": ["PresentationIntentType"]}),
        ("for_processing", {"SOPClassUID": RAW, "PresentationIntentType": ""}),
        ("no_pixels", {"without": ["PixelData"]}),
        ("colour", {"SamplesPerPixel": 3}),
        ("colour", {"photometric": "PALETTE COLOR"}),
        ("truncated", {"PixelData": b"\0" * 100}),
        ("no_pixels", {"without": ["Rows"]}),
    ],
)
def test_files_of_another_kind_are_refused_with_their_reason(file: Path, code: str, options: dict[str, Any]) -> None:
    with pytest.raises(Unusable) as caught:
        read(file, breast(), **options)
    assert caught.value.code == code


def test_a_header_that_declares_burnt_in_text_is_flagged(file: Path) -> None:
    assert read(file, breast(), BurnedInAnnotation="YES").facts["flags"] == ["burned_in_annotation"]
    assert read(file, breast(), BurnedInAnnotation="NO").facts["flags"] == []


def converted_with(bytes_more: int, task: Task) -> Converted | Skipped:
    """Convert a mammogram while this process may allocate only so many bytes more."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + bytes_more, resource.RLIM_INFINITY))
    return convert(task)


@pytest.mark.parametrize("images", [0.5, 1.5, 2.5])
def test_memory_that_runs_out_while_reading_decoding_or_scaling_is_a_reason_of_its_own(
    file: Path, images: float
) -> None:
    pixels = np.zeros((6000, 6000), np.uint16)  # 72 MB
    pixels[:, :3000] = np.arange(1000, 4000)
    write_mammogram(file, pixels)
    row = Mammogram(2, "key", "patient", file, "L", "CC", "negative", "train", None)
    task = Task(row, (Resolution(96, 96),), Pseudonyms(b"secret"))
    # A new process: one that has run other tests has memory that they freed, which no limit takes from it.
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        outcome = fresh.submit(converted_with, int(images * pixels.nbytes), task).result()
    assert isinstance(outcome, Skipped) and outcome.code == "out_of_memory"


def test_memory_that_runs_out_says_nothing_of_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*_: Any, **__: Any) -> None:
        raise MemoryError

    write_mammogram(file, breast())
    for function in ("mammogan.data.dicom.kind.pydicom.dcmread", "mammogan.data.dicom.decoding.decode._decoded"):
        with monkeypatch.context() as patched, pytest.raises(Unusable, match="out_of_memory"):
            patched.setattr(function, run_out)
            read_mammogram(file, "L", "CC")


def test_blank_and_tiny_images_are_refused(file: Path) -> None:
    with pytest.raises(Unusable, match="blank"):
        read(file, np.full((96, 96), 7, np.uint16))
    with pytest.raises(Unusable, match="blank"):
        read(file, np.repeat([[0, 4095]], 96, axis=0).repeat(48, axis=1).astype(np.uint16), PixelPaddingValue=0)
    with pytest.raises(Unusable, match="too_small"):
        read(file, breast((32, 96)))


@pytest.mark.parametrize("keep", [0, 100, 200, 0.5])
def test_a_file_cut_anywhere_is_refused_and_never_raises_anything_else(file: Path, keep: float) -> None:
    whole = write_mammogram(file, breast(), compress=JPEG2000Lossless).read_bytes()
    file.write_bytes(whole[: int(keep if keep != 0.5 else len(whole) // 2)])
    with pytest.raises(Unusable):
        read_mammogram(file, "L", "CC")


def test_a_text_file_and_a_folder_are_refused(file: Path, tmp_path: Path) -> None:
    file.write_text("path,patient\n" * 100)
    with pytest.raises(Unusable, match="not_dicom"):
        read_mammogram(file, "L", "CC")
    with pytest.raises(Unusable, match="unreadable"):
        read_mammogram(tmp_path, "L", "CC")


def test_odd_header_values_reach_neither_warnings_nor_logs(
    file: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_mammogram(file, breast(), SOPClassUID="SECRET-OF-JANE")
    capfd.readouterr()
    caplog.clear()
    source = read_mammogram(file, "L", "CC")
    assert source.facts["flags"] == ["header_warnings"]
    out, err = capfd.readouterr()
    assert "SECRET" not in out + err + caplog.text
