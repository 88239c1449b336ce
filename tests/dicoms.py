"""Real mammography DICOM files for tests, with the quirks that files in the wild have."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

NAME, RECORD = "DOE^JANE", "MRN424242"
"""What must not come out anywhere."""


def breast(shape: tuple[int, int] = (96, 96), seed: int = 0, bits: int = 12) -> NDArray[np.uint16]:
    """A left breast as MONOCHROME2 values: textured half ellipse with its chest wall in column 0, on 0."""
    height, width = shape
    row, col = np.mgrid[:height, :width]
    inside = ((row - height * 0.45) / (height * 0.38)) ** 2 + (col / (width * 0.6)) ** 2 < 1
    texture = np.random.default_rng(seed).uniform(0.3, 0.9, shape)
    return (inside * texture * ((1 << bits) - 1)).astype(np.uint16)


def write_mammogram(
    path: Path,
    pixels: NDArray[Any],
    laterality: str = "L",
    view: str = "CC",
    bits: int = 12,
    photometric: str = "MONOCHROME2",
    window: tuple[float, float, str | None] | None = None,
    compress: str | None = None,
    without: Sequence[str] = (),
    **elements: Any,
) -> Path:
    """Write stored ``pixels`` (h,w) as an MG FOR PRESENTATION file.

    window: center, width, VOILUTFunction (None: absent). compress: transfer syntax. ``elements`` set further
    attributes, ``without`` takes some away. The file names a patient, so that a leak can be seen.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.Modality, dataset.PresentationIntentType = "MG", "FOR PRESENTATION"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, RECORD, "19500203"
    dataset.AccessionNumber, dataset.StudyDate, dataset.InstitutionName = "ACC777", "20200102", "General Hospital"
    dataset.ImageLaterality, dataset.ViewPosition = laterality, view
    dataset.ImagerPixelSpacing = [0.07, 0.07]
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = photometric, 1
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    if window:
        dataset.WindowCenter, dataset.WindowWidth = window[:2]
        if window[2] is not None:
            dataset.VOILUTFunction = window[2]
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    for keyword in without:
        delattr(dataset, keyword)
    if compress:
        dataset.compress(compress, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


COLUMNS = ("path", "patient", "laterality", "view", "label")


def write_table(path: Path, rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def listed(folder: Path, patients: Sequence[str]) -> Path:
    """A table with one file for each of these identifiers, in this order."""
    rows = []
    for number, patient in enumerate(patients):
        write_mammogram(folder / f"{number}.dcm", breast(seed=number))
        rows.append((f"{number}.dcm", patient, "L", "CC", "negative"))
    return write_table(folder / "labels.csv", rows)


def write_cohort(folder: Path, patients: int = 6, shape: tuple[int, int] = (96, 96)) -> Path:
    """A table and its files: every other patient positive (one image, right), the others negative (two images).

    Its paths and patients hold what must stay private.
    """
    rows = []
    for number in range(patients):
        sides = "R" if number % 2 == 0 else "LR"
        for side in sides:
            name = f"{NAME.lower()}/{number}{side}.dcm"
            pixels = breast(shape, seed=10 * number + (side == "R"))
            write_mammogram(folder / name, pixels if side == "L" else pixels[:, ::-1].copy(), side)
            rows.append((name, f"{RECORD}-{number}", side, "CC", "negative" if number % 2 else "positive"))
    return write_table(folder / "labels.csv", rows)
