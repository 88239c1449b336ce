"""Compressed mammograms whose file is whole while the stream in it is not, as a copy of a copy can be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from dicoms import breast, write_mammogram
from jpeg_lossless import jpeg_lossless
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEGLossless, JPEGLosslessSV1

from mammogan.data.dicom.read import Unusable, read_mammogram

BLOCK = 4096
"""Bytes that a file system loses at once."""
STORED = breast((500, 400))
"""Pixels of 12 bits that the tests compress."""


def outcome(path: Path) -> str:
    """'used', with the pixels of STORED, or the reason code."""
    try:
        found = read_mammogram(path, "L", "CC").pixels
    except Unusable as reason:
        return reason.code
    return "used" if np.allclose(found, STORED * (65535 / 4095), atol=0.01) else "used with other pixels"


def compressed(path: Path, stored: NDArray[np.uint16], syntax: str, bits: int = 12) -> bytes:
    """Writes a mammogram and gives its stream."""
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        stream = jpeg_lossless(stored, bits, predictor=1 if syntax == JPEGLosslessSV1 else 7)
        with_stream(write_mammogram(path, stored, bits=bits), stream, syntax)
        return stream
    written = write_mammogram(path, stored, bits=bits, compress=syntax)
    return get_frame(pydicom.dcmread(written).PixelData, 0)


def with_stream(path: Path, stream: bytes, syntax: str | None = None, fragments: int = 1) -> Path:
    """Put another stream into a mammogram's file, in the place of its pixels."""
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([stream], fragments_per_frame=fragments)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax or dataset.file_meta.TransferSyntaxUID
    dataset.save_as(path)
    return path


def cut(stream: bytes) -> Iterator[tuple[str, bytes]]:
    for percent in (90, 60, 30):
        yield f"cut at {percent}%", stream[: len(stream) * percent // 100]
    yield "without its last 4 bytes", stream[:-4]


def zeroed(stream: bytes, at: int, length: int = BLOCK) -> bytes:
    return stream[:at] + bytes(length) + stream[at + length :]
