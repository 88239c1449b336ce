"""Streams that are whole but unusual are decoded; the same faults are found in them as in usual ones."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from damage import BLOCK, STORED, compressed, cut, outcome, with_stream, zeroed
from dicoms import breast, write_mammogram
from jpeg_lossless import jpeg_lossless
from malformed import declared_as
from PIL import Image
from pydicom.uid import (
    JPEG2000,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)
from streams import pattern, stream

from mammogan.data.dicom.read import read_mammogram

BYTES = breast((500, 400), bits=8).astype(np.uint8)
TEXT = b"Forty-two bytes of text follow the picture"
END = b"\xff\xd9"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.dcm"


def box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def jp2(codestream: bytes, length: str = "its own") -> bytes:
    """A JPEG 2000 file of one grey component with 12 bits, the size of STORED."""
    size = b"".join(side.to_bytes(4, "big") for side in STORED.shape)
    described = box(b"ihdr", size + b"\0\1\x0b\7\0\0") + box(b"colr", b"\1\0\0\0\0\0\x11")
    head = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + box(b"jp2h", described)
    return (
        head
        + {
            "its own": box(b"jp2c", codestream),
            "to the end": b"\0\0\0\0jp2c" + codestream,
            "of 64 bits": b"\0\0\0\1jp2c" + (len(codestream) + 16).to_bytes(8, "big") + codestream,
            "then metadata": box(b"jp2c", codestream) + box(b"xml ", b"<x/>" + bytes(9000)),
        }[length]
    )


LENGTHS = ("its own", "to the end", "of 64 bits", "then metadata")


@pytest.mark.parametrize("length", LENGTHS)
def test_a_codestream_in_the_boxes_of_a_file_is_checked_like_a_bare_one(file: Path, length: str) -> None:
    bare = compressed(file, STORED, JPEG2000Lossless)
    assert outcome(with_stream(file, jp2(bare, length))) == "used"
    for at in (3000, len(bare) // 2, len(bare) - BLOCK - 500):
        assert outcome(with_stream(file, jp2(zeroed(bare, at), length))) == "decode_failed"
    for _, part in cut(bare):
        assert outcome(with_stream(file, jp2(part, length))) == "truncated"
    if length != "then metadata":
        for _, part in cut(jp2(bare, length)):
            assert outcome(with_stream(file, part)) == "truncated"


def test_boxes_without_a_codestream_are_truncated(file: Path) -> None:
    compressed(file, STORED, JPEG2000Lossless)
    assert outcome(with_stream(file, jp2(b"")[:-8])) == "truncated"


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEG2000, JPEGLSLossless, JPEGLSNearLossless, JPEGLossless])
@pytest.mark.parametrize("after", [TEXT, TEXT * 100, b"\0" * 500 + TEXT, b"\xff" * 30])
def test_text_after_the_end_of_the_pixels_is_not_taken_for_damage(file: Path, syntax: str, after: bytes) -> None:
    path = file
    whole = compressed(path, STORED, JPEG2000Lossless if syntax == JPEG2000 else syntax)
    assert outcome(with_stream(path, whole + after, syntax)) == "used"
    for _, part in cut(whole):
        assert outcome(with_stream(path, part + after, syntax)) == "truncated"


def test_an_end_marker_in_a_header_is_not_the_end_of_the_pixels(file: Path) -> None:
    whole = compressed(file, STORED, JPEGLSLossless)
    comment = b"\xff\xfe" + (2 + len(END) * 3).to_bytes(2, "big") + END * 3
    with_comment = whole[:2] + comment + whole[2:]
    assert outcome(with_stream(file, with_comment)) == "used"
    assert outcome(with_stream(file, with_comment[: len(whole) // 2])) == "truncated"


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEGLSNearLossless])
@pytest.mark.parametrize("zeros", [1, 2, 3])
def test_zeros_before_the_end_of_jpeg_ls_as_in_the_official_set_are_left_out(
    file: Path, syntax: str, zeros: int
) -> None:
    whole = compressed(file, STORED, syntax)
    assert whole.rstrip(b"\0").endswith(END)
    padded = whole.rstrip(b"\0")[:-2] + bytes(zeros) + END
    assert outcome(with_stream(file, padded)) == "used"
    assert outcome(with_stream(file, padded[:-5000] + bytes(zeros) + END)) == "decode_failed"


def test_jpeg_ls_with_a_comment_first_is_recognised_whatever_is_declared(file: Path) -> None:
    whole = compressed(file, STORED, JPEGLSLossless)
    path = with_stream(file, whole[:2] + b"\xff\xfe\0\x06note" + whole[2:], JPEGLosslessSV1)
    assert outcome(path) == "used" and read_mammogram(path, "L", "CC").facts["flags"] == ["syntax_corrected"]


@pytest.mark.parametrize("declared", ["1.2.840.10008.1.2.1", JPEGBaseline8Bit, JPEGLossless, HTJ2KLossless])
def test_a_jpeg_2000_file_is_recognised_whatever_is_declared(file: Path, declared: str) -> None:
    path = with_stream(file, jp2(compressed(file, STORED, JPEG2000Lossless)))
    path.write_bytes(declared_as(path.read_bytes(), JPEG2000Lossless, declared))
    assert outcome(path) == "used"


@pytest.mark.parametrize("declared", ["1.2.840.10008.1.2.1", JPEGBaseline8Bit, JPEG2000Lossless])
def test_jpeg_lossless_is_recognised_whatever_is_declared(file: Path, declared: str) -> None:
    path = with_stream(write_mammogram(file, STORED), jpeg_lossless(STORED, 12), JPEGLossless)
    path.write_bytes(declared_as(path.read_bytes(), JPEGLossless, declared))
    assert outcome(path) == "used" and read_mammogram(path, "L", "CC").facts["flags"] == ["syntax_corrected"]


def lossy() -> dict[str, bytes]:
    """The stream of 12 bits as it should be, and with a scan that says that it ends with coefficient 0."""
    right = stream("jpeg-lossy-12")
    at = right.index(b"\xff\xda") + 8
    assert right[at - 1 : at + 2] == b"\0\x3f\0"
    return {"right": right, "ends with 0": right[:at] + b"\0" + right[at + 1 :]}


@pytest.mark.parametrize("syntax", [JPEGExtended12Bit, JPEGBaseline8Bit])
@pytest.mark.parametrize("name", lossy())
@pytest.mark.parametrize("after", [b"", TEXT])
def test_lossy_jpeg_of_twelve_bits_is_decoded(file: Path, syntax: str, name: str, after: bytes) -> None:
    write_mammogram(file, pattern(12))
    source = read_mammogram(with_stream(file, lossy()[name] + after, syntax), "L", "CC")
    plain = read_mammogram(write_mammogram(file, pattern(12)), "L", "CC")
    assert np.abs(source.pixels - plain.pixels).mean() < 65535 / 100
    assert ("syntax_corrected" in source.facts["flags"]) == (syntax == JPEGBaseline8Bit)


@pytest.mark.parametrize("name", lossy())
def test_lossy_jpeg_of_twelve_bits_that_was_cut_is_left_out(file: Path, name: str) -> None:
    write_mammogram(file, pattern(12))
    for _, part in cut(lossy()[name]):
        assert outcome(with_stream(file, part, JPEGExtended12Bit)) == "truncated"


@pytest.mark.parametrize("stored_bits", [8, 12])
@pytest.mark.parametrize(
    "syntax", [JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLSLossless, JPEG2000Lossless]
)
def test_eight_bits_declared_in_words_of_sixteen_are_decoded(file: Path, syntax: str, stored_bits: int) -> None:
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        packed = io.BytesIO()
        Image.fromarray(BYTES).save(packed, "JPEG", quality=100)
        coded = packed.getvalue()
    else:
        coded = jpeg_lossless(BYTES, 8) if syntax == JPEGLossless else compressed(file, BYTES, syntax, 8)  # type: ignore[arg-type]
    write_mammogram(file, BYTES.astype(np.uint16), bits=stored_bits)
    found = read_mammogram(with_stream(file, coded, syntax), "L", "CC")
    expected = read_mammogram(write_mammogram(file, BYTES.astype(np.uint16), bits=stored_bits), "L", "CC")
    assert np.abs(found.pixels - expected.pixels).max() <= 3 * 257
