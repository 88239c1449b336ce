"""Read one DICOM header: whether the file is a usable mammogram, and of which side and view.

It imports nothing heavier than pydicom, because it runs in many processes over many files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset

from mammogan.data.archives.base import Header
from mammogan.data.archives.description import decides, is_of_one_image, kind_named
from mammogan.data.archives.views import (
    SIDES,
    VIEW_CODES,
    is_of_one_view,
    laterality_in,
    laterality_of_orientation,
    view_in,
    view_meant,
)
from mammogan.data.dicom.kind import read_elements, size_of
from mammogan.data.dicom.quiet import quiet_pydicom
from mammogan.data.dicom.unusable import Unusable
from mammogan.data.dicom.usable import (
    is_secondary_capture,
    items,
    number,
    paddle_is_of_spot,
    refuse_unusable,
    several,
    text,
)

WANTED = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "Modality",
    "PresentationIntentType", "ImageType", "ConversionType", "SeriesDescription", "ProtocolName", "InstanceNumber",
    "AcquisitionDeviceProcessingDescription", "PaddleDescription", "EstimatedRadiographicMagnificationFactor",
    "ImageLaterality", "FrameLaterality", "SharedFunctionalGroupsSequence", "Laterality", "ViewPosition",
    "ViewCodeSequence", "ViewModifierCodeSequence", "PatientOrientation", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "SamplesPerPixel", "PhotometricInterpretation", "AcquisitionDateTime", "AcquisitionDate",
    "AcquisitionTime", "ContentDate", "ContentTime", "SeriesNumber", "SeriesDate", "StudyDate", "StudyID",
    "AccessionNumber",
)  # fmt: skip
FREE_TEXTS = ("AcquisitionDeviceProcessingDescription", "SeriesDescription", "ProtocolName")
"""Attributes in which a device or a person writes what it likes."""
DAY, TIME_OF_DAY = re.compile(r"\d{8}"), re.compile(r"\d{4}(\d\d(\.\d{1,6})?)?")


def read_header(path: Path) -> Header:
    """Read one file up to its pixels. If something is wrong with it, the header's ``reason`` says what."""
    try:
        with quiet_pydicom():
            size = size_of(path)
            with open(path, "rb") as file:
                header = read_elements(file, (), stop_before_pixels=True, specific_tags=list(WANTED))
                return _described(header, size, _next_is_in_fragments(file))
    except Unusable as reason:
        return Header(reason.code, reason.detail)
    except OSError as error:
        return Header("unreadable", str(error))
    except Exception as error:  # a damaged header can raise anything
        return Header("damaged_header", repr(error))


def pixels_digest(path: Path) -> bytes:
    """Hash the bytes of a file from its pixels on: equal for two files of one image, whatever their headers say."""
    with quiet_pydicom(), open(path, "rb") as file:
        read_elements(file, (), stop_before_pixels=True, specific_tags=["Rows"])
        return hashlib.file_digest(file, "sha256").digest()


def _described(header: Dataset, size: int, in_fragments: bool) -> Header:
    sop_class = text(header, "SOPClassUID")
    reason, detail = _why_unusable(header, size, in_fragments)
    description = text(header, "SeriesDescription")
    sides, views = tuple(_lateralities(header)), tuple(_views(header))
    coded_views = {view for source, view in views if source not in FREE_TEXTS}
    return Header(
        reason=reason,
        detail=detail,
        patient=text(header, "PatientID"),
        study=text(header, "StudyInstanceUID"),
        study_date=text(header, "StudyDate"),
        acquired=text(header, "AcquisitionDateTime")[:8] or text(header, "AcquisitionDate"),
        series_date=text(header, "SeriesDate"),
        accession=text(header, "AccessionNumber"),
        study_number=text(header, "StudyID"),
        series=text(header, "SeriesInstanceUID"),
        instance=text(header, "SOPInstanceUID"),
        series_text=description,
        named=kind_named(description) or ("spot_mag" if paddle_is_of_spot(header) else ""),
        text_decides=decides(description, header, {side for _, side in sides}, coded_views),
        lateralities=sides,
        views=views,
        is_film=text(header, "ConversionType") == "DF",
        is_secondary=is_secondary_capture(sop_class),
        times=tuple(_times(header)),
        series_number=_whole(header, "SeriesNumber"),
        rows=_whole(header, "Rows"),
        columns=_whole(header, "Columns"),
        number=_whole(header, "InstanceNumber"),
        syntax=str(header.file_meta.get("TransferSyntaxUID") or ""),
    )


def _why_unusable(header: Dataset, size: int, in_fragments: bool) -> tuple[str, str]:
    """Return reason and detail if the file is no usable mammogram, else ("", "")."""
    try:
        refuse_unusable(header, size)
        if not in_fragments and (fewest := _fewest_bytes(header)) > size:
            raise Unusable("truncated", f"{size} bytes, expected at least {fewest} for the pixels")
    except Unusable as reason:
        return reason.code, reason.detail
    return "", ""


def _fewest_bytes(header: Dataset) -> int:
    """Return how many bytes the pixels take at least; 0 if they are compressed."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    uncompressed = syntax is not None and syntax.is_transfer_syntax and not syntax.is_compressed
    bits = number(header, "BitsAllocated") if uncompressed and not syntax.is_deflated else 0
    return number(header, "Rows") * number(header, "Columns") * bits // 8


def _next_is_in_fragments(file: BinaryIO) -> bool:
    """Return whether the pixels, where the reader stopped, have no declared length: they are compressed, whatever the
    transfer syntax says."""
    return b"\xff" * 4 in file.read(12)


def _lateralities(header: Dataset) -> Iterator[tuple[str, str]]:
    clues = (
        ("ImageLaterality", text(header, "ImageLaterality")),
        ("FrameLaterality", _frame_laterality(header)),
        ("Laterality", text(header, "Laterality")),
        ("ViewPosition", laterality_in(text(header, "ViewPosition"))),
        ("PatientOrientation", laterality_of_orientation(tuple(several(header, "PatientOrientation")))),
    )
    return ((attribute, SIDES[side.upper()]) for attribute, side in clues if side.upper() in SIDES)


def _frame_laterality(header: Dataset) -> str:
    """Return FrameLaterality of the header itself, or of the functional groups that all frames share."""
    holders = [item for group in items(header, "SharedFunctionalGroupsSequence") for item in _anatomy(group)]
    return next(filter(None, (text(holder, "FrameLaterality") for holder in (header, *holders))), "")


def _anatomy(group: Dataset) -> list[Dataset]:
    return items(group, "FrameAnatomySequence")


def _views(header: Dataset) -> Iterator[tuple[str, str]]:
    codes = items(header, "ViewCodeSequence")
    texts = sorted(FREE_TEXTS, key=lambda keyword: not is_of_one_image(text(header, keyword)))
    clues = (
        *(("ViewCodeSequence", _view_of_code(text(code, "CodeValue"))) for code in codes),
        ("ViewPosition", view_in(text(header, "ViewPosition"))),
        *(("CodeMeaning", view_meant(text(code, "CodeMeaning"))) for code in codes),
        *((keyword, view_in(text(header, keyword))) for keyword in texts),  # those that may name anything come last
    )
    return (clue for clue in clues if clue[1])


def _view_of_code(code: str) -> str:
    """Return the view of a standard code, or of a code of a device's own that is a word for a view, such as LMLO."""
    return VIEW_CODES.get(code, "") or (view_in(code) if is_of_one_view(code) else "")


def _times(header: Dataset) -> Iterator[tuple[str, str]]:
    moment = re.split("[+-]", text(header, "AcquisitionDateTime"))[0]  # what follows is the distance to UTC
    clues = (
        ("AcquisitionDateTime", moment[:8], moment[8:]),
        ("AcquisitionDate", text(header, "AcquisitionDate"), text(header, "AcquisitionTime")),
        ("ContentDate", text(header, "ContentDate"), text(header, "ContentTime")),
    )
    for source, day, time in clues:
        if DAY.fullmatch(day) and TIME_OF_DAY.fullmatch(time):
            yield source, f"{day}{time:0<6}"


def _real(header: Dataset, keyword: str) -> float:
    try:
        return float(header.get(keyword) or 0)
    except (TypeError, ValueError):
        return 0.0


def _whole(header: Dataset, keyword: str) -> int:
    return int(_real(header, keyword))
