"""Encode one mammogram of an attack as a DICOM object that says what it is and contains nothing of the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

import mammogan
from mammogan.attack.dicom.signed_header import words_with_header
from mammogan.attack.signature import SigningKey, signed_words
from mammogan.data.dicom import write

BITS = 16
MODEL = "generator of altered mammograms"
ISSUER = "MammoGAN"
RESAMPLED = Code("113085", "DCM", "Spatial resampling")


@dataclass(frozen=True)
class Names:
    """Names and identifiers of a DICOM object; none of them is the patient's."""

    patient_id: str
    patient_name: str
    study: str
    """StudyDescription."""
    series: str
    """Text before side and view in SeriesDescription."""
    study_words: tuple[str, ...]
    """Words from which the study's UID is derived."""
    own_words: tuple[str, ...]
    """Words from which the UIDs of series and image are derived."""


@dataclass(frozen=True)
class Picture:
    """Pixels as the scanner stored them, uint16 (h,w), with their spacing in mm per pixel (y, x)."""

    pixels: NDArray[np.uint16]
    spacing: Sequence[float]
    resampled: bool
    marked: bool


def adversarial_names(facts: dict[str, Any], version: Sequence[str]) -> Names:
    """Return patient ID, name and descriptions of an adversarial DICOM file: the pseudonym and the word SYNTHETIC.

    ``version``: what its pixels depend on besides key and generator.
    """
    patient, made = facts["patient"], (facts["generator"]["checkpoint_sha256"], *version)
    return Names(
        patient_id=f"SYN-{patient}",
        patient_name=f"SYNTHETIC^NOT A PATIENT^{patient}",
        study="RESEARCH - SYNTHETIC - NOT FOR CLINICAL USE",
        series="SYNTHETIC",
        study_words=("mammogan altered", patient, *made),
        own_words=("mammogan altered", facts["key"], *made),
    )


def blinded_names(code: str, secret: str) -> Names:
    """Return the names of a mammogram in a reader study. They reveal neither whether it is adversarial nor its
    patient's other mammograms."""
    return Names(
        patient_id=f"SYN-STUDY-{code}",
        patient_name="PARTLY SYNTHETIC^READER STUDY",
        study="RESEARCH - PARTLY SYNTHETIC STUDY - NOT FOR CLINICAL USE",
        series="PARTLY SYNTHETIC STUDY",
        study_words=("mammogan reader study", secret, code),
        own_words=("mammogan reader study", secret, code),
    )


def contribution(facts: dict[str, Any]) -> str:
    """Return the text for ContributionDescription: what the generator, or an attack of your own, did."""
    made = facts["generator"]
    weights = f"generator weights sha256 {made['checkpoint_sha256']}, phase {made['phase']}, epoch {made['epoch']}"
    source = f"attack {made['run']}, source file sha256 {made['checkpoint_sha256']}"
    by = weights if made["phase"] else source
    return f"direction {facts['direction']}; {by}; made from mammogram {facts['source_key']}"


def encode(
    picture: Picture, real: dict[str, Any], names: Names, description: str, key: SigningKey | None = None
) -> bytes:
    """Return the complete DICOM file as bytes; the same arguments give the same bytes.

    ``real`` is the original's JSON. ``description`` says how the mammogram was made adversarial, and is signed,
    with what of the header decides how the pixels are read, if there is a ``key``; empty for an original.
    """
    ds = Dataset()
    write.mark_as_research(ds, bool(description) or real["synthetic"], MODEL, [mammogan.__version__])
    ds.ImageType = ["DERIVED", "SECONDARY", *(["", "SYNTHETIC"] if description else [])]
    _describe_derivation(ds, picture, bool(description))
    _describe_patient(ds, names, real)
    write.describe_series(ds, names.study_words, names.own_words)
    ds.StudyDescription = names.study
    ds.SeriesDescription = f"{names.series} {real['laterality']} {real['view']}"
    flips = real["placement"]["flip_h"], real["placement"]["flip_v"]
    write.describe_view(ds, real["laterality"], real["view"], *flips, picture.spacing)
    write.describe_pixels(ds, picture.pixels, BITS)
    if description:
        signed = signed_words(words_with_header(description, ds), picture.pixels, key) if key else description
        write.name_synthesizer(ds, signed)
    ds.LossyImageCompression = "00" if real["synthetic"] else real.get("lossy_compression", "")
    ds.BurnedInAnnotation = "YES" if picture.marked else text_in_pixels(real)
    return write.file_bytes(ds)


def _describe_derivation(ds: Dataset, picture: Picture, is_adversarial: bool) -> None:
    how = ["grey scale of the presentation"]
    if picture.resampled:
        how.append("resampled")
        ds.DerivationCodeSequence = [write.code_item(RESAMPLED)]
    if is_adversarial:
        how.append("altered by a generative network to change what a classifier sees")
    ds.DerivationDescription = f"Research, not for clinical use: {', '.join(how)}"


def _describe_patient(ds: Dataset, names: Names, real: dict[str, Any]) -> None:
    ds.PatientName = names.patient_name
    ds.PatientID = names.patient_id
    ds.IssuerOfPatientID = ISSUER
    ds.PatientBirthDate = ds.PatientSex = ""
    made = "Pixels derive from a drawn phantom" if real["synthetic"] else "Pixels derive from a real image"
    # No header is copied, but text burnt into the pixels may be a name.
    match text_in_pixels(real):
        case "YES":
            ds.PatientIdentityRemoved = "NO"
        case "NO":
            ds.PatientIdentityRemoved = "YES"
            ds.DeidentificationMethod = f"{made}; no header was copied"
        case _:
            ds.DeidentificationMethod = f"{made}; text in them is not excluded"


def text_in_pixels(real: dict[str, Any]) -> str:
    """Return whether, by its header, an original has text burnt into its pixels: YES, NO, or empty where unknown.

    Phantoms have none. Shards that were made before this was recorded do not say so.
    """
    if "burned_in_annotation" in real["flags"]:
        return "YES"
    return "NO" if real["synthetic"] else str(real.get("burned_in_annotation", ""))
