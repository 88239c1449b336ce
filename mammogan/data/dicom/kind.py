"""Read header and pixels of a DICOM file, unless the header shows that it is no mammogram or impossibly large."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalMammographyXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mammogan.data.dicom.quiet import NO_DICM
from mammogan.data.dicom.unusable import Unusable

TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1."
MONOCHROME = ("MONOCHROME1", "MONOCHROME2", None)
PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
"""Transfer syntaxes with uncompressed pixels."""
USED = (
    *("SOPClassUID", "Modality", "PresentationIntentType", "NumberOfFrames", "SyntheticData", "ConversionType"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PresentationLUTShape"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("PatientOrientation", "ImageLaterality", "Laterality", "ViewPosition", "BurnedInAnnotation"),
    *("ImagerPixelSpacing", "PixelSpacing", "PixelAspectRatio", "LossyImageCompression", "PixelData"),
)
"""All attributes of a header that reading a mammogram uses: here, in read.py and in greyscale.py."""
SMALLEST_SIDE = 64
MOST_PIXELS = 100_000_000
"""Largest number of pixels; the largest detectors have 17 million, the finest film scans 40 million."""
MOST_BYTES = 1 << 30
"""Largest size of a file; MOST_PIXELS uncompressed pixels of 16 bits take a fifth of it."""


def read(path: Path) -> Dataset:
    """Read header and stored pixels of one mammogram. Raises Unusable with a reason code.

    The header alone is checked before the pixels are read, because tomosynthesis is large, and a damaged header may
    request any amount of memory.
    """
    size = _size(path)
    if not size:
        raise Unusable("empty")
    _refuse_other_kinds(_read(path, stop_before_pixels=True))
    if size > MOST_BYTES:
        raise Unusable("too_large", f"a file of {size} bytes, expected {MOST_BYTES} at most")
    header = _read(path, stop_before_pixels=False)
    if "PixelData" not in header:
        raise Unusable("no_pixels")
    _refuse_cut_pixels(header)
    return header


def number(header: Dataset, keyword: str, absent: int = 0) -> int:
    """Read an integer of the header; ``absent`` when it is missing or empty. Raises Unusable when it is no integer."""
    value = header.get(keyword)
    if value is None or value == "":
        return absent
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise Unusable("damaged_header", f"{keyword}: {error!r}") from error


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: no valid name of a file
        raise Unusable("unreadable", repr(error)) from error
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would block for ever
        raise Unusable("unreadable", "expected a regular file")
    return status.st_size


def _read(path: Path, **options: Any) -> Dataset:
    try:
        header = pydicom.dcmread(path, **options)
        for keyword in USED:  # pydicom parses an element at its first access, and that can fail
            header.get(keyword)
    except InvalidDicomError as error:
        raise Unusable("not_dicom", NO_DICM) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged header can raise anything, even an OSError that is not from a system call
        at_disk = isinstance(error, OSError) and error.errno
        raise Unusable("unreadable" if at_disk else "damaged_header", repr(error)) from error
    if not len(header):  # pydicom drops all elements when the last one is cut off
        raise Unusable("truncated", "the file ends within an element")
    return header


def _refuse_cut_pixels(header: Dataset) -> None:
    in_fragments = header["PixelData"].is_undefined_length
    if header.file_meta.get("TransferSyntaxUID") in PLAIN and not in_fragments:
        expected = number(header, "Rows") * number(header, "Columns") * number(header, "BitsAllocated") // 8
        found = len(header.PixelData or b"")
        if 0 < found < expected:
            raise Unusable("truncated", f"{found} bytes of pixels, expected {expected}")


def _refuse_other_kinds(header: Dataset) -> None:
    if str(header.get("SOPClassUID", "")).startswith(TOMOSYNTHESIS) or number(header, "NumberOfFrames", 1) > 1:
        raise Unusable("multiframe", "tomosynthesis or several frames")
    if str(header.get("Modality") or "MG") != "MG":
        raise Unusable("not_mg", f"Modality {header.Modality}")
    if _is_for_processing(header):
        raise Unusable("for_processing", "raw detector data: export the FOR PRESENTATION image")
    if number(header, "SamplesPerPixel", 1) != 1 or header.get("PhotometricInterpretation") not in MONOCHROME:
        raise Unusable("colour", f"{header.get('PhotometricInterpretation')}")
    _refuse_by_shape(header)


def _refuse_by_shape(header: Dataset) -> None:
    if "Rows" not in header or "Columns" not in header:
        return  # a report, or a file without pixels
    shape = number(header, "Rows"), number(header, "Columns")
    if min(shape) < SMALLEST_SIDE:
        raise Unusable("too_small", f"shape {shape}")
    if shape[0] * shape[1] > MOST_PIXELS:
        raise Unusable("too_large", f"shape {shape}, expected {MOST_PIXELS} pixels at most")


def _is_for_processing(header: Dataset) -> bool:
    """Return whether the image is raw detector data, by its presentation intent or, without one, its SOP class."""
    intent = header.get("PresentationIntentType")
    if not intent:
        return header.get("SOPClassUID") == DigitalMammographyXRayImageStorageForProcessing
    return intent == "FOR PROCESSING"
