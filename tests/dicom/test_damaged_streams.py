"""A mammogram has the pixels that were compressed, or it is left out: no decoder's guess at the rest becomes tissue."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from damage import BLOCK, STORED, compressed, cut, outcome, with_stream, zeroed
from dicoms import breast, write_mammogram
from jpeg_lossless import jpeg_lossless
from PIL import Image
from pydicom.uid import (
    HTJ2K,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from streams import pattern, stream

from mammogan.data.dicom.read import read_mammogram

SYNTAXES = (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, JPEG2000Lossless, RLELossless)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_stream_that_was_cut_is_left_out_although_its_file_is_complete(tmp_path: Path, syntax: str) -> None:
    path = tmp_path / "x.dcm"
    whole = compressed(path, STORED, syntax)
    assert outcome(path) == "used"
    code = "decode_failed" if syntax == RLELossless else "truncated"
    assert {name: outcome(with_stream(path, part)) for name, part in cut(whole)} == {
        name: code for name, _ in cut(whole)
    }


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_stream_in_which_a_block_was_lost_is_left_out(tmp_path: Path, syntax: str) -> None:
    path = tmp_path / "x.dcm"
    whole = compressed(path, STORED, syntax)
    places = np.random.default_rng(4).integers(600, len(whole) - BLOCK - 600, 12)
    assert {outcome(with_stream(path, zeroed(whole, at))) for at in places} == {"decode_failed"}


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1, JPEGLSLossless])
@pytest.mark.parametrize("length", [64, 512])
def test_a_smaller_hole_in_what_is_coded_sample_by_sample_is_noticed_too(
    tmp_path: Path, syntax: str, length: int
) -> None:
    path = tmp_path / "x.dcm"
    whole = compressed(path, STORED, syntax)
    places = np.random.default_rng(5).integers(600, len(whole) - 1200, 12)
    assert {outcome(with_stream(path, zeroed(whole, at, length))) for at in places} <= {"decode_failed", "used"}


@pytest.mark.parametrize(("syntax", "name"), [(HTJ2KLossless, "htj2k-lossless"), (HTJ2K, "htj2k-lossy")])
def test_damaged_htj2k_is_left_out(tmp_path: Path, syntax: str, name: str) -> None:
    path = write_mammogram(tmp_path / "x.dcm", pattern(16), bits=16)
    whole = stream(name)
    assert {outcome(with_stream(path, part, syntax)) for _, part in cut(whole)} == {"truncated"}
    assert outcome(with_stream(path, zeroed(whole, 1500, 2500), syntax)) == "decode_failed"


def test_a_lossy_jpeg_that_was_cut_is_left_out(tmp_path: Path) -> None:
    pixels = breast((500, 400), bits=8).astype(np.uint8)
    path, packed = write_mammogram(tmp_path / "x.dcm", pixels, bits=8), io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=95)
    read_mammogram(with_stream(path, packed.getvalue(), JPEGBaseline8Bit), "L", "CC")
    for _, part in cut(packed.getvalue()):
        assert outcome(with_stream(path, part)) == "truncated"


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize(("bits", "rows"), [(8, 0), (12, 0), (12, 3), (14, 7), (16, 0), (16, 64)])
def test_whole_jpeg_lossless_streams_of_every_predictor_and_of_intervals_are_used(
    tmp_path: Path, predictor: int, bits: int, rows: int
) -> None:
    stored = breast((100, 130), seed=predictor, bits=bits).astype(np.uint8 if bits == 8 else np.uint16)
    path = write_mammogram(tmp_path / "x.dcm", stored, bits=bits)
    plain = read_mammogram(path, "L", "CC").pixels
    for padding in (0, 1):
        coded = jpeg_lossless(stored, bits, predictor, rows, padding)
        for whole, fragments in ((coded, 1), (coded, 3), (coded + b"\0" * 5, 1), (coded[:-2] + b"\xff\xff\xff\xd9", 1)):
            packed = with_stream(path, whole, JPEGLossless, fragments)
            assert np.array_equal(read_mammogram(packed, "L", "CC").pixels, plain)


def test_whole_jpeg_lossless_streams_of_signed_numbers_are_used(tmp_path: Path) -> None:
    signed = (STORED.astype(np.int32) - 2048).astype(np.int16)
    path = write_mammogram(tmp_path / "x.dcm", signed)
    plain = read_mammogram(path, "L", "CC").pixels
    with_stream(path, jpeg_lossless(signed.view(np.uint16) & 0xFFF, 12), JPEGLossless)
    assert np.array_equal(read_mammogram(path, "L", "CC").pixels, plain)
    with_stream(path, jpeg_lossless(signed.view(np.uint16), 16), JPEGLossless)
    assert np.array_equal(read_mammogram(path, "L", "CC").pixels, plain)


def test_a_jpeg_lossless_stream_that_lost_an_interval_is_left_out(tmp_path: Path) -> None:
    path = write_mammogram(tmp_path / "x.dcm", STORED)
    whole = jpeg_lossless(STORED, 12, rows_a_restart=50)
    first, second = whole.index(b"\xff\xd2"), whole.index(b"\xff\xd3")
    assert outcome(with_stream(path, whole, JPEGLossless)) == "used"
    assert outcome(with_stream(path, whole[:first] + whole[second:])) == "decode_failed"
