"""Read one DICOM header and decide whether the file is a usable mammogram, and of which side and view.

It imports nothing heavier than pydicom, because it runs in many processes over many files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from mammogan.data.archives.base import Header
from mammogan.data.archives.views import (
    MODIFIER_REASONS,
    VIEW_CODES,
    laterality_in,
    laterality_of_orientation,
    view_in,
    view_meant,
)
from mammogan.data.dicom.quiet import NO_DICM, quiet_pydicom

STORAGE = "1.2.840.10008.5.1.4.1.1."
FOR_PRESENTATION, FOR_PROCESSING = f"{STORAGE}1.2", f"{STORAGE}1.2.1"
SECONDARY_CAPTURE = f"{STORAGE}7"
TOMOSYNTHESIS = f"{STORAGE}13.1."
MAMMOGRAPHY_CAD = f"{STORAGE}88.50"
IMAGES = {FOR_PRESENTATION, FOR_PROCESSING, f"{STORAGE}1", f"{STORAGE}1.1"}
"""SOP classes of usable images: digital mammography, and computed and digital radiography, which some devices use."""
SMALLEST_SIDE = 64
LARGEST_MAGNIFICATION = 1.1
TEXTS = (
    ("specimen", re.compile(r"specimen", re.I)),
    ("synthetic2d", re.compile(r"\b[cs][ -]?view\b|generated[ _]2d|intelligent 2d|insight 2d", re.I)),
    ("spot_mag", re.compile(r"\bspot\b|\bmag(nif\w+)?\b", re.I)),
    ("view_modifier", re.compile(r"stereo", re.I)),
    ("multiframe", re.compile(r"tomo", re.I)),
    ("cad_or_sc", re.compile(r"\bcad\b", re.I)),
)
SPOT_PADDLE = re.compile(r"spot|spt|\bmag", re.I)
WANTED = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "Modality",
    "PresentationIntentType", "ImageType", "ConversionType", "SeriesDescription", "ProtocolName", "InstanceNumber",
    "AcquisitionDeviceProcessingDescription", "PaddleDescription", "EstimatedRadiographicMagnificationFactor",
    "ImageLaterality", "FrameLaterality", "SharedFunctionalGroupsSequence", "Laterality", "ViewPosition",
    "ViewCodeSequence", "ViewModifierCodeSequence", "PatientOrientation", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "SamplesPerPixel", "PhotometricInterpretation",
)  # fmt: skip


def read_header(path: Path) -> Header:
    """Read one file up to its pixels. If something is wrong with it, the header's ``reason`` says what."""
    try:
        with quiet_pydicom():
            if not path.is_file():
                return Header("unreadable", "not a file, or a link to nothing")
            return _described(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(WANTED)), path)
    except InvalidDicomError:
        return Header("not_dicom", NO_DICM)
    except OSError as error:
        return Header("unreadable", str(error))
    except Exception as error:  # a damaged header can raise anything
        return Header("unreadable_header", repr(error))


def _described(header: Dataset, path: Path) -> Header:
    sop_class = _text(header, "SOPClassUID")
    reason, detail = _another_kind(header, sop_class, path) or _another_view(header) or ("", "")
    return Header(
        reason=reason,
        detail=detail,
        patient=_text(header, "PatientID"),
        study=_text(header, "StudyInstanceUID"),
        series=_text(header, "SeriesInstanceUID"),
        instance=_text(header, "SOPInstanceUID"),
        series_text=_text(header, "SeriesDescription"),
        lateralities=tuple(_lateralities(header)),
        views=tuple(_views(header)),
        is_film=_text(header, "ConversionType") == "DF",
        is_secondary=sop_class.startswith(SECONDARY_CAPTURE),
        area=_whole(header, "Rows") * _whole(header, "Columns"),
        number=_whole(header, "InstanceNumber"),
        syntax=str(header.file_meta.get("TransferSyntaxUID") or ""),
    )


def _another_kind(header: Dataset, sop_class: str, path: Path) -> tuple[str, str] | None:
    """Return reason and detail unless the file is a single mammogram FOR PRESENTATION with convertible pixels."""
    modality = _text(header, "Modality") or "MG"
    rows, columns = _whole(header, "Rows"), _whole(header, "Columns")
    size = path.stat().st_size
    photometric = _text(header, "PhotometricInterpretation") or "MONOCHROME2"
    kinds = (
        ("cad_or_sc", sop_class == MAMMOGRAPHY_CAD, "a CAD report"),
        ("multiframe", sop_class.startswith(TOMOSYNTHESIS) or _whole(header, "NumberOfFrames") > 1, sop_class),
        ("not_mg", modality != "MG", f"Modality {modality}"),
        ("sop_class", not _may_be_image(sop_class), sop_class),
        ("for_processing", _is_raw(header, sop_class), "raw detector data"),
        ("no_pixels", not rows or not columns, ""),
        ("colour", _whole(header, "SamplesPerPixel") > 1 or not photometric.startswith("MONOCHROME"), photometric),
        ("too_small", min(rows, columns) < SMALLEST_SIDE, f"{rows}x{columns}"),
        ("truncated", _fewest_bytes(header, rows * columns) > size, f"{size} bytes for {rows}x{columns} pixels"),
    )
    return next(((reason, detail) for reason, holds, detail in kinds if holds), None)


def _may_be_image(sop_class: str) -> bool:
    """Return whether the SOP class allows an image. Unknown classes do: de-identification may replace or remove it."""
    known = sop_class.startswith(STORAGE)
    return not known or sop_class in IMAGES or sop_class.startswith(SECONDARY_CAPTURE)


def _is_raw(header: Dataset, sop_class: str) -> bool:
    """Return whether the image is raw detector data, by PresentationIntentType or, if that is missing, SOP class."""
    intent = _text(header, "PresentationIntentType")
    return intent == "FOR PROCESSING" if intent else sop_class == FOR_PROCESSING


def _fewest_bytes(header: Dataset, pixels: int) -> int:
    syntax = header.file_meta.get("TransferSyntaxUID")
    uncompressed = syntax is not None and syntax.is_transfer_syntax and not syntax.is_compressed
    deflated = uncompressed and syntax.is_deflated
    return pixels * _whole(header, "BitsAllocated") // 8 if uncompressed and not deflated else 0


def _another_view(header: Dataset) -> tuple[str, str] | None:
    """Return reason and detail if the image is not a plain view of a complete breast."""
    for code in _modifiers(header):
        return MODIFIER_REASONS.get(code, "view_modifier"), f"view modifier {code}"
    if SPOT_PADDLE.search(paddle := _text(header, "PaddleDescription")):
        return "spot_mag", f"paddle {paddle}"
    if (factor := _real(header, "EstimatedRadiographicMagnificationFactor")) > LARGEST_MAGNIFICATION:
        return "spot_mag", f"magnified {factor:g} times"
    text = f"{_text(header, 'SeriesDescription')} {' '.join(_several(header, 'ImageType'))}"
    for reason, pattern in TEXTS:
        if pattern.search(text):
            return reason, text
    return None


def _modifiers(header: Dataset) -> Iterator[str]:
    """Yield the codes of the view's modifiers, from the header itself or from the items of ViewCodeSequence."""
    for holder in (header, *_items(header, "ViewCodeSequence")):
        yield from filter(None, (_text(item, "CodeValue") for item in _items(holder, "ViewModifierCodeSequence")))


def _lateralities(header: Dataset) -> Iterator[tuple[str, str]]:
    clues = (
        ("ImageLaterality", _text(header, "ImageLaterality")),
        ("FrameLaterality", _frame_laterality(header)),
        ("Laterality", _text(header, "Laterality")),
        ("ViewPosition", laterality_in(_text(header, "ViewPosition"))),
        ("PatientOrientation", laterality_of_orientation(tuple(_several(header, "PatientOrientation")))),
    )
    return (clue for clue in clues if clue[1] in ("L", "R"))


def _frame_laterality(header: Dataset) -> str:
    """Return FrameLaterality of the header itself, or of the functional groups that all frames share."""
    holders = [item for group in _items(header, "SharedFunctionalGroupsSequence") for item in _anatomy(group)]
    return next(filter(None, (_text(holder, "FrameLaterality") for holder in (header, *holders))), "")


def _anatomy(group: Dataset) -> list[Dataset]:
    return _items(group, "FrameAnatomySequence")


def _views(header: Dataset) -> Iterator[tuple[str, str]]:
    codes = _items(header, "ViewCodeSequence")
    clues = (
        *(("ViewCodeSequence", VIEW_CODES.get(_text(code, "CodeValue"), "")) for code in codes),
        ("ViewPosition", view_in(_text(header, "ViewPosition"))),
        *(("CodeMeaning", view_meant(_text(code, "CodeMeaning"))) for code in codes),
        ("AcquisitionDeviceProcessingDescription", view_in(_text(header, "AcquisitionDeviceProcessingDescription"))),
        *((keyword, view_in(_text(header, keyword))) for keyword in ("SeriesDescription", "ProtocolName")),
    )
    return (clue for clue in clues if clue[1])


def _items(header: Dataset, keyword: str) -> list[Dataset]:
    value = header.get(keyword)
    return list(value) if isinstance(value, pydicom.Sequence) else []


def _several(header: Dataset, keyword: str) -> list[str]:
    value: Any = header.get(keyword) or ()
    return value.split("\\") if isinstance(value, str) else [str(part) for part in value]


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()


def _real(header: Dataset, keyword: str) -> float:
    try:
        return float(header.get(keyword) or 0)
    except (TypeError, ValueError):
        return 0.0


def _whole(header: Dataset, keyword: str) -> int:
    return int(_real(header, keyword))
