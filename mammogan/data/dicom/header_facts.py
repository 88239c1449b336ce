"""Read what a header says about a mammogram besides its grey scale: side, view, pixel size, film, doubts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from mammogan.data.dicom.flags import Flag, raised

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SYNTHETIC_DATA = 0x0008001C


def declared_orientation(header: Dataset) -> tuple[str, ...]:
    """Return PatientOrientation (row, column) as texts; empty when the header has none."""
    value = header.get("PatientOrientation") or ()
    return tuple(value.split("\\") if isinstance(value, str) else map(str, np.atleast_1d(value)))


def doubts(header: Dataset, laterality: str, view: str) -> list[Flag]:
    """Return flags for a header whose side or view disagrees with the table, or that declares burnt-in text.

    The table is believed. The text may be a name.
    """
    side = header.get("ImageLaterality") or header.get("Laterality")
    position = header.get("ViewPosition")
    return raised(
        {
            "laterality_disagrees": side in ("L", "R") and side != laterality,
            "burned_in_annotation": header.get("BurnedInAnnotation") == "YES",
            "view_disagrees": position in ("CC", "MLO") and position != view,
        }
    )


def facts_of(header: Dataset, shape: tuple[int, ...], voi: dict[str, Any], flip_h: bool) -> dict[str, Any]:
    """Return what a sample's JSON may contain about the file."""
    return {
        "source_shape": list(shape),
        "source_spacing_mm": _spacing(header),
        "photometric": "MONOCHROME1" if header.get("PhotometricInterpretation") == "MONOCHROME1" else "MONOCHROME2",
        "bits_stored": int(header.BitsStored),
        "voi": voi,
        "flip_h": flip_h,
        "synthetic": SYNTHETIC_DATA in header and header[SYNTHETIC_DATA].value == "YES",
        "film": _is_film(header),
    }


def _is_film(header: Dataset) -> bool:
    """Return whether the image is digitised film: a secondary capture, or declared as film."""
    return header.get("SOPClassUID") == SECONDARY_CAPTURE or header.get("ConversionType") == "DF"


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
