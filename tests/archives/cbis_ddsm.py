"""CBIS-DDSM: film as secondary captures in an NBIA tree, crops and masks beside it, four tables that differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicoms import breast
from pydicom.uid import SecondaryCaptureImageStorage

from archives.miniature import Miniature, with_lesions

MASS = ("patient_id", "breast_density", "left or right breast", "image view", "abnormality id", "abnormality type",
        "mass shape", "mass margins", "assessment", "pathology", "subtlety", "image file path",
        "cropped image file path", "ROI mask file path")  # fmt: skip
CALC = ("patient_id", "breast density", "left or right breast", "image view", "abnormality id", "abnormality type",
        "calc type", "calc distribution", "assessment", "pathology", "subtlety", "image file path",
        "cropped image file path", "ROI mask file path")  # fmt: skip
SIDES = {"L": "LEFT", "R": "RIGHT"}
LESIONS = {("mass", 1): (28, 8, 38, 20), ("mass", 2): (52, 22, 58, 30), ("calc", 1): (44, 34, 52, 42)}
"""By set and number of the abnormality, as they lie in a left breast."""
PATIENTS = 4
"""With cancer, and as many with benign findings alone."""


def write(root: Path) -> Miniature:
    made = Miniature(root)
    rows: dict[str, list[list[object]]] = {
        f"{kind}_{part}": [] for kind in ("mass", "calc") for part in ("train", "test")
    }
    pixels: dict[str, np.ndarray] = {}

    def film(
        set_name: str, person: str, side: str, view: str, expect: str, *pathologies: str, joined: str = "uid",
        in_other_set: str = "",
    ) -> None:  # fmt: skip
        """One full film with its abnormalities, each with a crop and a mask beside it. joined: how it can be found."""
        kind, part = set_name.split("-")
        name = f"{set_name}_{person}_{SIDES[side]}_{view}"
        uid = f"1.3.6.1.4.1.9590.100.1.2.{len(made.expected) + 1}"
        lesions = {number: LESIONS[kind.lower(), number] for number in range(1, len(pathologies) + 1)}
        others = [LESIONS[in_other_set, 1]] if in_other_set else []
        drawn = with_lesions(breast(seed=len(pixels), bits=16), *lesions.values(), *others)
        picture = pixels.setdefault(f"{person}{side}{view}", drawn)
        common = {
            "bits": 16, "SOPClassUID": SecondaryCaptureImageStorage, "PatientOrientation": view,
            "ConversionType": "WSD",
            "without": ("PresentationIntentType", "ImageLaterality", "ViewPosition", "ImagerPixelSpacing"),
        }  # fmt: skip
        made.image(
            f"CBIS-DDSM/{name}/07-20-2016-DDSM-NA-1/1.000000-full mammogram images-2/1-1.dcm", expect, side, view,
            pixels=picture, PatientID=name if joined == "name" else "removed",
            SeriesInstanceUID=uid if joined == "uid" else f"{uid}.9", SeriesDescription="full mammogram images",
            **common,
        )  # fmt: skip
        for number, pathology in enumerate(pathologies, start=1):
            mask = np.zeros(picture.shape, np.uint8)
            top, left, bottom, right = lesions[number]
            mask[top : bottom + 1, left : right + 1] = 255
            parts = {"ROI mask images": (mask, 8), "cropped images": (picture[10:80, :70].copy(), 16)}
            texts = list(parts) if number == 1 else list(parts)[::-1]  # some are exchanged
            for (kind_of_part, (shown, bits)), text in zip(parts.items(), texts, strict=True):
                made.image(
                    f"CBIS-DDSM/{name}_{number}/07-20-2016-DDSM-NA-1/1.000000-{kind_of_part}-2/1-1.dcm",
                    "not_full_image", side, view, pixels=shown, PatientID=f"{name}_{number}", SeriesDescription=text,
                    **{**common, "bits": bits},
                )  # fmt: skip
            path = f"{name}/1.3.6.1.4.1.9590.100.1.2.77/{uid}/000000.dcm"
            rows[f"{kind.lower()}_{'train' if part == 'Training' else 'test'}"].append([
                person, 3, SIDES[side], view, number, kind.lower(), "IRREGULAR", "SPICULATED", 4, pathology, 3, path,
                f"{name}_{number}/1.3/1.4/000000.dcm\n", f"{name}_{number}/1.3/1.5/000001.dcm",
            ])  # fmt: skip

    for number in range(PATIENTS):
        part = "Test" if number == 0 else "Training"
        film(f"Mass-{part}", f"P_0000{number}", "L", "CC", "positive", "BENIGN", "MALIGNANT")
        film(f"Mass-{part}", f"P_0000{number}", "L", "MLO", "positive", "MALIGNANT", joined="name")
        film(f"Calc-{part}", f"P_0010{number}", "R", "CC", "label_benign", "BENIGN_WITHOUT_CALLBACK", joined="folder")
    # One film in both sets, benign by its mass and malignant by its calcification; and one woman in both parts.
    film("Calc-Test", "P_00300", "R", "MLO", "positive", "MALIGNANT", in_other_set="mass")
    film("Mass-Training", "P_00300", "R", "MLO", "repeated_view", "BENIGN")
    for name, table in rows.items():
        kind, part = name.split("_")
        made.table(f"{kind}_case_description_{part}_set.csv", MASS if kind == "mass" else CALC, table)
    return made
