"""Read header and pixels of a DICOM file, unless the header shows that it is no mammogram or impossibly large."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mammogan.data.dicom.quiet import NO_DICM
from mammogan.data.dicom.unusable import Unusable
from mammogan.data.dicom.usable import number, refuse_unusable

PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
"""Transfer syntaxes with uncompressed pixels."""
USED = (
    *("SOPClassUID", "Modality", "PresentationIntentType", "NumberOfFrames", "SyntheticData", "ConversionType"),
    *("ImageType", "PaddleDescription", "EstimatedRadiographicMagnificationFactor"),
    *("ViewCodeSequence", "ViewModifierCodeSequence"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PresentationLUTShape"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("PatientOrientation", "ImageLaterality", "Laterality", "ViewPosition", "BurnedInAnnotation"),
    *("ImagerPixelSpacing", "PixelSpacing", "PixelAspectRatio", "LossyImageCompression", "PixelData"),
)
"""All attributes of a header that reading a mammogram uses: here, in usable.py, read.py and greyscale.py."""


def read(path: Path) -> Dataset:
    """Read header and stored pixels of one mammogram. Raises Unusable with a reason code.

    The header alone is checked before the pixels are read, because tomosynthesis is large, and a damaged header may
    request any amount of memory.
    """
    size = size_of(path)
    refuse_unusable(read_elements(path, stop_before_pixels=True), size)
    header = read_elements(path, stop_before_pixels=False)
    if "PixelData" not in header:
        raise Unusable("no_pixels")
    _refuse_cut_pixels(header)
    return header


def size_of(path: Path) -> int:
    """Return the size of a file in bytes. Raises Unusable if it is empty, no file, or cannot be reached."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: no valid name of a file
        raise Unusable("unreadable", repr(error)) from error
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would block for ever
        raise Unusable("unreadable", "expected a regular file")
    if not status.st_size:
        raise Unusable("empty")
    return status.st_size


def read_elements(path: Path | BinaryIO, keywords: Sequence[str] = USED, **options: Any) -> Dataset:
    """Read a file with pydicom's ``options``, and parse ``keywords``. Raises Unusable if that fails."""
    try:
        header = pydicom.dcmread(path, **options)
        for keyword in keywords:  # pydicom parses an element at its first access, and that can fail
            header.get(keyword)
    except InvalidDicomError as error:
        raise Unusable("not_dicom", NO_DICM) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged header can raise anything, even an OSError that is not from a system call
        at_disk = isinstance(error, OSError) and error.errno
        raise Unusable("unreadable" if at_disk else "damaged_header", repr(error)) from error
    if not len(header) and "specific_tags" not in options:  # pydicom drops all elements when the last one is cut off
        raise Unusable("truncated", "the file ends within an element")
    return header


def _refuse_cut_pixels(header: Dataset) -> None:
    in_fragments = header["PixelData"].is_undefined_length
    if header.file_meta.get("TransferSyntaxUID") in PLAIN and not in_fragments:
        expected = number(header, "Rows") * number(header, "Columns") * number(header, "BitsAllocated") // 8
        found = len(header.PixelData or b"")
        if 0 < found < expected:
            raise Unusable("truncated", f"{found} bytes of pixels, expected {expected}")
