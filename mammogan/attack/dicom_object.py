"""One mammogram of an attack as a DICOM object: what it shows, what it says of itself, and nothing of the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

import mammogan
from mammogan.data import mg_object

BITS = 16
MODEL = "generator of altered mammograms"
ISSUER = "MammoGAN"
RESAMPLED = Code("113085", "DCM", "Spatial resampling")


@dataclass(frozen=True)
class Names:
    """Under which names an object goes; none of them the patient's."""

    patient_id: str
    patient_name: str
    study: str
    """StudyDescription."""
    series: str
    """Before side and view in SeriesDescription."""
    study_words: tuple[str, ...]
    """What the study's UID is made from."""
    own_words: tuple[str, ...]
    """What the UIDs of series and image are made from."""


@dataclass(frozen=True)
class Picture:
    """Pixels as the scanner stored them, uint16 (h,w), and how far apart they are, mm (y, x)."""

    pixels: NDArray[np.uint16]
    spacing: Sequence[float]
    resampled: bool
    marked: bool


def altered_names(facts: dict[str, Any], version: Sequence[str]) -> Names:
    """Of an altered mammogram (its JSON): the pseudonym and the word synthetic, together.

    ``version`` is what its pixels depend on besides key and generator.
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
    """Of a mammogram in a reader study, altered or not: nothing that tells, nor which others are of its patient."""
    return Names(
        patient_id=f"SYN-STUDY-{code}",
        patient_name="PARTLY SYNTHETIC^READER STUDY",
        study="RESEARCH - PARTLY SYNTHETIC STUDY - NOT FOR CLINICAL USE",
        series="PARTLY SYNTHETIC STUDY",
        study_words=("mammogan reader study", secret, code),
        own_words=("mammogan reader study", secret, code),
    )


def contribution(facts: dict[str, Any]) -> str:
    """What the synthesising generator did, for ContributionDescription."""
    made = facts["generator"]
    return (
        f"direction {facts['direction']}; generator weights sha256 {made['checkpoint_sha256']}, phase {made['phase']}, "
        f"epoch {made['epoch']}; made from mammogram {facts['source_key']}"
    )


def encode(picture: Picture, real: dict[str, Any], names: Names, altered: str) -> bytes:
    """The whole file; equal for equal arguments.

    ``real`` is the original's JSON. ``altered`` tells how the picture was altered; empty: it was not.
    """
    ds = Dataset()
    mg_object.say_research(ds, bool(altered) or real["synthetic"], MODEL, [mammogan.__version__])
    ds.ImageType = ["DERIVED", "SECONDARY", *(["", "SYNTHETIC"] if altered else [])]
    if altered:
        mg_object.name_synthesizer(ds, altered)
    _describe_derivation(ds, picture, bool(altered))
    _describe_patient(ds, names, real)
    mg_object.describe_series(ds, names.study_words, names.own_words)
    ds.StudyDescription = names.study
    ds.SeriesDescription = f"{names.series} {real['laterality']} {real['view']}"
    flips = real["placement"]["flip_h"], real["placement"]["flip_v"]
    mg_object.describe_view(ds, real["laterality"], real["view"], *flips, picture.spacing)
    mg_object.describe_pixels(ds, picture.pixels, BITS)
    ds.BurnedInAnnotation = "YES" if picture.marked or _may_hold_text(real) else "NO"
    return mg_object.file_bytes(ds)


def _describe_derivation(ds: Dataset, picture: Picture, altered: bool) -> None:
    how = ["grey scale of the presentation"]
    if picture.resampled:
        how.append("resampled")
        ds.DerivationCodeSequence = [mg_object.code_item(RESAMPLED)]
    if altered:
        how.append("altered by a generative network to change what a classifier sees")
    ds.DerivationDescription = f"Research, not for clinical use: {', '.join(how)}"


def _describe_patient(ds: Dataset, names: Names, real: dict[str, Any]) -> None:
    ds.PatientName = names.patient_name
    ds.PatientID = names.patient_id
    ds.IssuerOfPatientID = ISSUER
    ds.PatientBirthDate = ds.PatientSex = ""
    if _may_hold_text(real):  # no header is copied, but what is burnt into the pixels may be a name
        ds.PatientIdentityRemoved = "NO"
        return
    ds.PatientIdentityRemoved = "YES"
    drawn = "Pixels derive from a drawn phantom; no header was copied"
    ds.DeidentificationMethod = drawn if real["synthetic"] else "Pixels derive from a real image; no header was copied"


def _may_hold_text(real: dict[str, Any]) -> bool:
    return "burned_in_annotation" in real["flags"]
