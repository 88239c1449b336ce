"""Decode the stored pixels of a DICOM file, or say why they cannot be."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mammogan.data.dicom.codestream import compressed, correct_syntax, refuse_incomplete
from mammogan.data.dicom.decoders import only_decoder
from mammogan.data.dicom.flags import Flag
from mammogan.data.dicom.jpeg_lossless import is_read_wrongly
from mammogan.data.dicom.kind import MOST_PIXELS, SMALLEST_SIDE
from mammogan.data.dicom.unusable import Unusable

PASSED_ON = (MemoryError, KeyboardInterrupt, SystemExit)
"""Exceptions that are not a decoder's fault. A panic of a decoder in Rust is its fault, though no Exception either."""


def decode(header: Dataset, flags: list[Flag]) -> NDArray[Any]:
    """Decode the stored pixels (h,w) with all their bits.

    Raises Unusable when they are damaged, as far as that can be detected.
    """
    stream = compressed(header)
    if correct_syntax(header, stream):
        flags.append("syntax_corrected")
    refuse_incomplete(stream)
    try:
        stored = _decoded(header)
    except PASSED_ON:
        raise
    except BaseException as error:  # on a damaged stream, decoders can raise anything
        raise Unusable("decode_failed", repr(error)) from error
    if stored.ndim != 2:
        raise Unusable("multiframe", f"shape {stored.shape}")
    if min(stored.shape) < SMALLEST_SIDE:
        raise Unusable("too_small", f"shape {stored.shape}")
    if stored.size > MOST_PIXELS:
        raise Unusable("too_large", f"shape {stored.shape}")
    if is_read_wrongly(stream, stored, 8 * stored.itemsize):
        raise Unusable("decode_failed", "the compressed pixels are longer or shorter than what they were decoded to")
    return stored


def _decoded(header: Dataset) -> NDArray[Any]:
    """Decode with one decoder only: what it refuses is damaged, and another decoder might turn it into noise."""
    decoder = only_decoder(header.file_meta.TransferSyntaxUID)
    # pydicom would cut values to the declared bits, which turns the brightest pixels of some scanners black.
    header.pixel_array_options(decoding_plugin=decoder, correct_unused_bits=False, view_only=True)
    return header.pixel_array
