"""Decode the stored pixels of a DICOM file, or say why they cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from mammogan.data.dicom.decoding.codestream import (
    LOSSLESS,
    SEQUENTIAL,
    TWELVE_BIT,
    compressed,
    correct_syntax,
    frame_kind,
    other_readings,
    repaired,
    whole,
)
from mammogan.data.dicom.decoding.decoders import only_decoder
from mammogan.data.dicom.decoding.jpeg_lossless import is_read_wrongly
from mammogan.data.dicom.flags import Flag
from mammogan.data.dicom.unusable import Unusable
from mammogan.data.dicom.usable import MOST_PIXELS, SMALLEST_SIDE, number

PASSED_ON = (MemoryError, KeyboardInterrupt, SystemExit)
"""Exceptions that are not a decoder's fault. A panic of a decoder in Rust is its fault, though no Exception either."""

DECODED_TO_BYTES = (SEQUENTIAL, TWELVE_BIT, LOSSLESS)
"""Kinds of JPEG of which pydicom does not notice that 8 bits are decoded to bytes."""


def decode(header: Dataset, flags: list[Flag]) -> NDArray[Any]:
    """Decode the stored pixels (h,w) with all their bits.

    Raises Unusable when they are damaged, as far as that can be detected.
    """
    stream = compressed(header)
    if correct_syntax(header, stream):
        flags.append("syntax_corrected")
    if stream:
        stream = _replace(header, stream, repaired(whole(stream)))
    with _allocated_as_decoded(header, stream):
        stored = _decoded_in_some_reading(header, stream)
    if stored.ndim != 2:
        raise Unusable("multiframe", f"shape {stored.shape}")
    if min(stored.shape) < SMALLEST_SIDE:
        raise Unusable("too_small", f"shape {stored.shape}")
    if stored.size > MOST_PIXELS:
        raise Unusable("too_large", f"shape {stored.shape}")
    if is_read_wrongly(stream, stored, 8 * stored.itemsize):
        raise Unusable("decode_failed", "the compressed pixels are longer or shorter than what they were decoded to")
    return stored


def _replace(header: Dataset, stream: bytes, other: bytes) -> bytes:
    """Put another stream into the header, unless it is the same one; return it."""
    if other is not stream:
        header.PixelData = encapsulate([other])
        header["PixelData"].is_undefined_length = True
    return other


@contextmanager
def _allocated_as_decoded(header: Dataset, stream: bytes) -> Iterator[None]:
    """Declare 8 bits while a JPEG stream of 8 bits is decoded, which some files declare as 16; pydicom expects them."""
    kind, precision = frame_kind(stream)
    declared = header.get("BitsAllocated"), header.get("BitsStored")
    if kind in DECODED_TO_BYTES and precision <= 8 and declared[0] == 16:
        header.BitsAllocated, header.BitsStored = 8, min(8, number(header, "BitsStored"))
    try:
        yield
    finally:
        header.BitsAllocated, header.BitsStored = declared


def _decoded_in_some_reading(header: Dataset, stream: bytes) -> NDArray[Any]:
    try:
        return _decoded(header)
    except PASSED_ON:
        raise
    except BaseException as error:  # on a damaged stream, decoders can raise anything
        for other in other_readings(stream):
            _replace(header, stream, other)
            with suppress(Exception):
                return _decoded(header)
        raise Unusable("decode_failed", repr(error)) from error


def _decoded(header: Dataset) -> NDArray[Any]:
    """Decode with one decoder only: what it refuses is damaged, and another decoder might turn it into noise."""
    decoder = only_decoder(header.file_meta.TransferSyntaxUID)
    # pydicom would cut values to the declared bits, which turns the brightest pixels of some scanners black.
    header.pixel_array_options(decoding_plugin=decoder, correct_unused_bits=False, view_only=True)
    return header.pixel_array
