"""Read what a header says about a mammogram besides its grey scale: side, view, pixel size, film, doubts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import HTJ2K, JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from mammogan.data.dicom.flags import Flag, raised
from mammogan.data.dicom.sides import SIDES
from mammogan.data.dicom.usable import is_secondary_capture

SYNTHETIC_DATA = 0x0008001C
SQUARE = 0.01
"""Pixels count as square when height and width differ by less than this share."""
LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)
CLAIMS = ("burned_in_annotation", "lossy_compression")
"""Facts on which a DICOM export of the image may rest a claim; a header that does not say leaves them out."""


def declared_orientation(header: Dataset) -> tuple[str, ...]:
    """Return PatientOrientation (row, column) as texts; empty when the header has none."""
    value = header.get("PatientOrientation") or ()
    return tuple(value.split("\\") if isinstance(value, str) else map(str, np.atleast_1d(value)))


def laterality_of(header: Dataset) -> str:
    """Return the side that a header names, L or R, also where it writes the word; any other text as it is."""
    named = str(header.get("ImageLaterality") or header.get("Laterality") or "").strip()
    return SIDES.get(named.upper(), named)


def doubts(header: Dataset, laterality: str, view: str) -> list[Flag]:
    """Return flags for a header whose side or view disagrees with the table, or that declares burnt-in text.

    The table is believed. The text may be a name.
    """
    side = laterality_of(header)
    position = header.get("ViewPosition")
    return raised(
        {
            "laterality_disagrees": side in ("L", "R") and side != laterality,
            "pixels_not_square": _spacing(header) is None and not _has_square_pixels(header),
            "burned_in_annotation": header.get("BurnedInAnnotation") == "YES",
            "view_disagrees": position in ("CC", "MLO") and position != view,
        }
    )


def facts_of(header: Dataset, shape: tuple[int, ...], voi: dict[str, Any], flip_h: bool) -> dict[str, Any]:
    """Return what a sample's JSON may contain about the file."""
    synthetic = SYNTHETIC_DATA in header and header[SYNTHETIC_DATA].value == "YES"
    return {
        "source_shape": list(shape),
        "source_spacing_mm": _spacing(header),
        "photometric": "MONOCHROME1" if header.get("PhotometricInterpretation") == "MONOCHROME1" else "MONOCHROME2",
        "bits_stored": int(header.BitsStored),
        "voi": voi,
        "flip_h": flip_h,
        "synthetic": synthetic,
        "film": _is_film(header),
        **({} if synthetic else _claims(header)),
    }


def _claims(header: Dataset) -> dict[str, str]:
    """Return CLAIMS, as far as they are known."""
    lossy = header.file_meta.get("TransferSyntaxUID") in LOSSY
    said = {
        "burned_in_annotation": str(header.get("BurnedInAnnotation") or ""),
        "lossy_compression": "01" if lossy else str(header.get("LossyImageCompression") or ""),
    }
    return {name: value for name, value in said.items() if value in ("YES", "NO", "00", "01")}


def _has_square_pixels(header: Dataset) -> bool:
    """Return whether PixelAspectRatio, which stands in for a pixel size, is 1 or missing."""
    try:
        height, width = (float(part) for part in header.get("PixelAspectRatio") or (1, 1))
        return are_square([height, width])
    except (TypeError, ValueError):
        return True


def are_square(spacing_mm: Sequence[float]) -> bool:
    """Return whether pixels of this height and width are square."""
    height, width = spacing_mm
    return abs(height - width) <= SQUARE * max(height, width)


def _is_film(header: Dataset) -> bool:
    """Return whether the image is digitised film: a secondary capture, or declared as film."""
    return is_secondary_capture(str(header.get("SOPClassUID", ""))) or header.get("ConversionType") == "DF"


def _spacing(header: Dataset) -> list[float] | None:
    """Return the millimetres between pixels (y, x), at the detector if given, else PixelSpacing; None if unknown."""
    for keyword in ("ImagerPixelSpacing", "PixelSpacing"):
        try:
            spacing = [float(part) for part in header.get(keyword) or ()]
        except (TypeError, ValueError):
            continue
        if len(spacing) == 2 and all(math.isfinite(part) and part > 0 for part in spacing):
            return spacing
    return None
