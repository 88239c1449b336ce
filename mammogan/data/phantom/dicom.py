"""One picture as a DICOM file: Digital Mammography X-Ray Image - For Presentation, marked as synthetic throughout.

The file says who made it and that nobody was imaged. It says nothing of findings: those stand beside it.
"""

from __future__ import annotations

import uuid
from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

import mammogan
from mammogan.data.phantom.detector import BITS, WHITE
from mammogan.data.phantom.picture import Pixels
from mammogan.data.phantom.plan import PlannedImage, PlannedPatient
from mammogan.data.phantom.settings import GENERATOR_VERSION, PhantomConfig

PATIENT_NAME = "PHANTOM^NOT A PATIENT"
MANUFACTURER = "MammoGAN (research software)"
NOTICE = "RESEARCH - SYNTHETIC - NOT FOR DIAGNOSIS"
SYNTHETIC_DATA = 0x0008001C

ORIENTATION = {
    ("L", "CC"): ["A", "R"],
    ("L", "MLO"): ["A", "FR"],
    ("R", "CC"): ["P", "L"],
    ("R", "MLO"): ["P", "FL"],
}
VIEW_CODE = {
    "CC": Code("399162004", "SCT", "cranio-caudal"),
    "MLO": Code("399368009", "SCT", "medio-lateral oblique"),
}
BREAST_CODE = Code("76752008", "SCT", "Breast")
SYNTHESIZING = Code("109100", "DCM", "Synthesizing Equipment")


def stored(pixels: np.ndarray, breast: str) -> np.ndarray:
    """A picture (or its mask) turned as scanners store it: chest wall left for left breasts, right for right ones."""
    return np.ascontiguousarray(pixels if breast == "L" else pixels[:, ::-1])


def encode(config: PhantomConfig, patient: PlannedPatient, image: PlannedImage, pixels: Pixels, twin: bool) -> bytes:
    """The whole DICOM file; equal for equal arguments."""
    held = stored(pixels, image.breast)
    if patient.monochrome1:
        held = np.uint16(WHITE) - held
    dataset = Dataset()
    _say_synthetic(dataset)
    _describe_patient(dataset, patient)
    _describe_study(dataset, config, patient, image, twin)
    _describe_view(dataset, config, image)
    _describe_pixels(dataset, held, patient.monochrome1)
    return _file(dataset)


def _say_synthetic(ds: Dataset) -> None:
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["DERIVED", "PRIMARY", "", "SYNTHETIC"]
    ds.add_new(SYNTHETIC_DATA, "CS", "YES")  # by number: pydicom before 3 would drop the keyword silently
    ds.ContentQualification = "RESEARCH"
    ds.DerivationDescription = "Drawn by a program from random numbers; no person was imaged"
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = "phantom"
    ds.SoftwareVersions = [mammogan.__version__, f"phantom {GENERATOR_VERSION}"]
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [_item(SYNTHESIZING)]
    equipment.Manufacturer = MANUFACTURER
    equipment.ManufacturerModelName = "phantom"
    equipment.SoftwareVersions = ds.SoftwareVersions
    equipment.ContributionDescription = "Procedural phantom, wholly synthetic"
    ds.ContributingEquipmentSequence = [equipment]


def _describe_patient(ds: Dataset, patient: PlannedPatient) -> None:
    ds.PatientName = PATIENT_NAME
    ds.PatientID = patient.patient_id
    ds.IssuerOfPatientID = "MammoGAN phantom"
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "No patient: wholly synthetic"


def _describe_study(
    ds: Dataset, config: PhantomConfig, patient: PlannedPatient, image: PlannedImage, twin: bool
) -> None:
    made_from = [
        f"mammogan phantom {GENERATOR_VERSION}",
        f"{config.seed} {config.patients} {config.height}x{config.width} {config.preset} {config.conspicuity!r}",
        patient.patient_id,
    ]
    own = [*made_from, image.name, "twin" if twin else "image"]
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID = _uid(*own, "instance")
    ds.SeriesInstanceUID = _uid(*own, "series")
    ds.StudyInstanceUID = _uid(*made_from, "study")
    ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
    ds.StudyDescription = NOTICE
    ds.SeriesDescription = f"SYNTHETIC {image.breast} {image.view}"
    ds.Modality = "MG"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.SeriesNumber = list(ORIENTATION).index((image.breast, image.view)) + 1
    ds.InstanceNumber = 1


def _describe_view(ds: Dataset, config: PhantomConfig, image: PlannedImage) -> None:
    ds.ImageLaterality = image.breast
    ds.ViewPosition = image.view
    ds.PatientOrientation = ORIENTATION[image.breast, image.view]
    view = _item(VIEW_CODE[image.view])
    view.ViewModifierCodeSequence = []
    ds.ViewCodeSequence = [view]
    ds.BodyPartExamined = "BREAST"
    ds.OrganExposed = "BREAST"
    ds.AnatomicRegionSequence = [_item(BREAST_CODE)]
    ds.BreastImplantPresent = "NO"
    ds.PartialView = "NO"
    ds.PositionerType = "NONE"
    ds.DetectorType = ""
    ds.AcquisitionContextSequence = []
    ds.ImagerPixelSpacing = ds.PixelSpacing = [config.spacing_mm, config.spacing_mm]


def _describe_pixels(ds: Dataset, held: np.ndarray, monochrome1: bool) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
    ds.Rows, ds.Columns = held.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, BITS, BITS - 1, 0
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1 if monochrome1 else -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "INVERSE" if monochrome1 else "IDENTITY"
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = (WHITE + 1) // 2, WHITE + 1, "LINEAR"
    ds.LossyImageCompression = "00"
    ds.BurnedInAnnotation = "NO"
    ds.RecognizableVisualFeatures = "NO"
    ds.add_new(0x7FE00010, "OW", held.astype("<u2").tobytes())


def _uid(*made_from: str) -> UID:
    """The same for the same words (PS3.5 B.2: a UUID as an integer under 2.25)."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join(made_from)).int}")


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _file(ds: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    FileDataset(buffer, ds, file_meta=meta, preamble=b"\0" * 128).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
