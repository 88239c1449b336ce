"""Fill in the attributes that all DICOM mammograms written by this package share (MG For Presentation, PS3.3 A.26).

They include the standard's attributes that mark an object as synthetic and for research.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

MANUFACTURER = "MammoGAN (research software)"
SYNTHETIC_DATA = 0x0008001C
VIEW_CODE = {
    "CC": Code("399162004", "SCT", "cranio-caudal"),
    "MLO": Code("399368009", "SCT", "medio-lateral oblique"),
}
BREAST_CODE = Code("76752008", "SCT", "Breast")
SYNTHESIZING = Code("109100", "DCM", "Synthesizing Equipment")


def mark_as_research(ds: Dataset, synthetic: bool, model: str, versions: Sequence[str]) -> None:
    """Mark ``ds`` as for research, synthetic or not, and made by ``model`` of this package, never by a scanner."""
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.add_new(SYNTHETIC_DATA, "CS", "YES" if synthetic else "NO")  # by number: pydicom before 3 drops the keyword
    ds.ContentQualification = "RESEARCH"
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = model
    ds.SoftwareVersions = list(versions)


def name_synthesizer(ds: Dataset, contribution: str) -> None:
    """Add a coded item that the manufacturer in ``ds`` synthesised the image; ``contribution`` explains how.

    Being coded, the item survives when free texts are removed.
    """
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [code_item(SYNTHESIZING)]
    equipment.Manufacturer = ds.Manufacturer
    equipment.ManufacturerModelName = ds.ManufacturerModelName
    equipment.SoftwareVersions = ds.SoftwareVersions
    equipment.ContributionDescription = contribution
    ds.ContributingEquipmentSequence = [equipment]


def describe_series(ds: Dataset, study_words: Sequence[str], own_words: Sequence[str]) -> None:
    """Put the image into a study, with one series per image; no date, no accession number.

    The UIDs are derived from the words, so that the same words give the same UIDs.
    """
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID = uid_of(*own_words, "instance")
    ds.SeriesInstanceUID = uid_of(*own_words, "series")
    ds.StudyInstanceUID = uid_of(*study_words, "study")
    ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
    ds.Modality = "MG"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.InstanceNumber = 1


def describe_view(
    ds: Dataset, laterality: str, view: str, flip_h: bool, flip_v: bool, spacing: Sequence[float]
) -> None:
    """Describe side, view, orientation and pixel size of the image.

    ``flip_h`` and ``flip_v`` bring the pixels into the canonical orientation; ``spacing`` is in mm (y, x).
    """
    ds.ImageLaterality = laterality
    ds.ViewPosition = view
    ds.PatientOrientation = patient_orientation(laterality, view, flip_h, flip_v)
    code = code_item(VIEW_CODE[view])
    code.ViewModifierCodeSequence = []
    ds.ViewCodeSequence = [code]
    ds.SeriesNumber = 1 + 2 * (laterality == "R") + (view == "MLO")
    ds.BodyPartExamined = "BREAST"
    ds.OrganExposed = "BREAST"
    ds.AnatomicRegionSequence = [code_item(BREAST_CODE)]
    ds.PositionerType = "NONE"
    ds.DetectorType = ""
    ds.AcquisitionContextSequence = []
    ds.ImagerPixelSpacing = ds.PixelSpacing = [decimal(mm) for mm in spacing]


def patient_orientation(laterality: str, view: str, flip_h: bool, flip_v: bool) -> list[str]:
    """Return PatientOrientation: the directions in which rows and columns run.

    Canonical: rows to the nipple, columns to the feet (MLO) or to the middle (CC).
    """
    middle, side = ("R", "L") if laterality == "L" else ("L", "R")
    column = side if flip_v else middle
    along = "" if view == "CC" else "H" if flip_v else "F"
    return ["P" if flip_h else "A", along + column]


def describe_pixels(ds: Dataset, held: NDArray[np.uint16], bits: int, monochrome1: bool = False) -> None:
    """Add stored pixels (h,w) of ``bits`` bits, with a window over their complete range."""
    white = (1 << bits) - 1
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
    ds.Rows, ds.Columns = held.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, 0
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1 if monochrome1 else -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "INVERSE" if monochrome1 else "IDENTITY"
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = (white + 1) // 2, white + 1, "LINEAR"
    ds.LossyImageCompression = "00"
    ds.RecognizableVisualFeatures = "NO"
    ds.add_new(0x7FE00010, "OW", held.astype("<u2").tobytes())


def decimal(number: float) -> str:
    """Format a decimal string of at most 16 characters, the limit of DICOM."""
    return f"{number:.10g}"


def uid_of(*made_from: str) -> UID:
    """Derive a UID from words; the same words give the same UID (PS3.5 B.2: a UUID as an integer under 2.25)."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join(made_from)).int}")


def code_item(code: Code) -> Dataset:
    """Make the item of a code sequence for ``code``."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def file_bytes(ds: Dataset) -> bytes:
    """Return the complete DICOM file as bytes, explicit VR little endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    FileDataset(buffer, ds, file_meta=meta, preamble=b"\0" * 128).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
