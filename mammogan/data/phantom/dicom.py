"""Encode one picture as a DICOM file: Digital Mammography X-Ray Image - For Presentation, marked as synthetic.

The file says what made it and that no person was imaged. It says nothing of findings: truth.json and the masks do.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

import mammogan
from mammogan.data.dicom import write
from mammogan.data.phantom.detector import BITS, WHITE
from mammogan.data.phantom.picture import Pixels
from mammogan.data.phantom.plan import PlannedImage, PlannedPatient
from mammogan.data.phantom.settings import GENERATOR_VERSION, PhantomConfig

PATIENT_NAME = "PHANTOM^NOT A PATIENT"
NOTICE = "RESEARCH - SYNTHETIC - NOT FOR DIAGNOSIS"


def stored(pixels: np.ndarray, breast: str) -> np.ndarray:
    """Mirror a picture (or its mask) as scanners store it: chest wall left for left breasts, right for right ones."""
    return np.ascontiguousarray(pixels if breast == "L" else pixels[:, ::-1])


def encode(config: PhantomConfig, patient: PlannedPatient, image: PlannedImage, pixels: Pixels, twin: bool) -> bytes:
    """Return the bytes of the complete DICOM file; equal arguments give equal bytes."""
    held = stored(pixels, image.breast)
    if patient.monochrome1:
        held = np.uint16(WHITE) - held
    dataset = Dataset()
    _say_synthetic(dataset)
    _describe_patient(dataset, patient)
    _describe_study(dataset, config, patient, image, twin)
    _describe_view(dataset, config, image)
    _describe_pixels(dataset, held, patient.monochrome1)
    return write.file_bytes(dataset)


def _say_synthetic(ds: Dataset) -> None:
    ds.ImageType = ["DERIVED", "PRIMARY", "", "SYNTHETIC"]
    write.mark_as_research(ds, True, "phantom", [mammogan.__version__, f"phantom {GENERATOR_VERSION}"])
    write.name_synthesizer(ds, "Procedural phantom, wholly synthetic")
    ds.DerivationDescription = "Drawn by a program from random numbers; no person was imaged"


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
    write.describe_series(ds, made_from, own)
    ds.StudyDescription = NOTICE
    ds.SeriesDescription = f"SYNTHETIC {image.breast} {image.view}"


def _describe_view(ds: Dataset, config: PhantomConfig, image: PlannedImage) -> None:
    spacing = [config.spacing_mm, config.spacing_mm]
    write.describe_view(ds, image.breast, image.view, image.breast == "R", False, spacing)
    ds.BreastImplantPresent = "NO"
    ds.PartialView = "NO"


def _describe_pixels(ds: Dataset, held: np.ndarray, monochrome1: bool) -> None:
    write.describe_pixels(ds, held, BITS, monochrome1)
    ds.BurnedInAnnotation = "NO"
