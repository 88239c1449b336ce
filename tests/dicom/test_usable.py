"""The scan and the conversion judge a file alike, by one table of reasons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives.miniature import code
from conftest import ROOT
from dicoms import breast, write_mammogram
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    JPEG2000Lossless,
    MammographyCADSRStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

from mammogan.data.archives.header import read_header
from mammogan.data.dicom.read import Unusable, read_mammogram
from mammogan.data.dicom.reasons import REASONS, explained

PLAIN = {"ImageType": ["ORIGINAL", "PRIMARY"]}
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("", {"SOPClassUID": SecondaryCaptureImageStorage}),
    ("", {"without": ["Modality"]}),
    ("", {"SeriesDescription": "MAMMO BILAT W TOMO"}),
    ("", {"compress": JPEG2000Lossless}),
    ("cad_or_sc", {"SOPClassUID": MammographyCADSRStorage}),
    ("multiframe", {"SOPClassUID": BreastTomosynthesisImageStorage}),
    ("multiframe", {"NumberOfFrames": 3}),
    ("not_mg", {"Modality": "US"}),
    ("sop_class", {"SOPClassUID": UltrasoundImageStorage}),
    ("for_processing", {"PresentationIntentType": "FOR PROCESSING"}),
    ("no_pixels", {"without": ["Rows", "Columns"]}),
    ("colour", {"photometric": "RGB"}),
    ("too_small", {"pixels": breast((32, 200))}),
    ("too_large", {"Rows": 65000, "Columns": 65000}),
    ("truncated", {"Rows": 9000, "Columns": 900}),
    ("spot_mag", {"ViewModifierCodeSequence": [code("399055006")]}),
    ("spot_mag", {"EstimatedRadiographicMagnificationFactor": "1.8"}),
    ("implant_displaced", {"ViewModifierCodeSequence": [code("R-102D5", "SRT")]}),
    ("view_modifier", {"ViewModifierCodeSequence": [code("399197002")]}),
    *(("", {"PaddleDescription": paddle}) for paddle in ("NO SPOT", "24X30 W/O MAG", "Kontakt 24x30, kein Spot")),
    *(
        ("", {"PaddleDescription": paddle})
        for paddle in ("18X24 MAG LATCH", "Spot: none", "without spot or mag", "sans spot")
    ),
    *(
        ("spot_mag", PLAIN | {"PaddleDescription": paddle})
        for paddle in ("10CM SPOT", "7.5CM MAG", "Round spot paddle")
    ),
    *(("spot_mag", PLAIN | {"PaddleDescription": paddle}) for paddle in ("NO SPOT / MAG 10x10 SPOT", "Magnification")),
    ("", PLAIN | {"PaddleDescription": "standard contact paddle, spot paddle beside it"}),
    ("spot_mag", {"PaddleDescription": "standard contact paddle, spot paddle beside it"}),
    *(("", {"ViewModifierCodeSequence": [code(value, "99X", "None")]}) for value in ("NONE", "0", "ANONYMIZED")),
    *(("", {"ViewModifierCodeSequence": [code("NONE", "99X", meaning)]}) for meaning in ("", "No modifier", "n/a")),
    ("view_modifier", {"ViewModifierCodeSequence": [code("NONE", "99X", "Rolled lateral")]}),
    ("view_modifier", {"ViewModifierCodeSequence": [code("X7", "99X", "None")]}),
    ("spot_mag", {"ViewModifierCodeSequence": [code("399055006", "SCT", "")]}),
    ("synthetic2d", {"ImageType": ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"]}),
    *(
        ("", {"ImageType": ["ORIGINAL", "PRIMARY", "", value]})
        for value in ("AUTOMODE", "CUSTOMORGAN", "ANATOMOSAIC", "NONSTEREO", "BARCADE", "MAGNET", "SPOTLESS")
    ),
    *(
        ("", {"ImageType": ["ORIGINAL", "PRIMARY", value]})
        for value in ("NO CAD", "NO_CAD", "CAD OFF", "CAD_OFF", "CAD: no", "CAD=0", "W/O CAD", "CAD NOT APPLIED")
    ),
    *(
        ("", {"ImageType": ["ORIGINAL", "PRIMARY", "", value]})
        for value in (
            "NO MAG",
            "MAG OFF",
            "STEREO OFF",
            "STEREO_NONE",
            "NO TOMO",
            "KEIN SPOT",
            "NO C-VIEW",
            "NO SPECIMEN",
        )
    ),
    *(
        ("multiframe", {"ImageType": ["DERIVED", "PRIMARY", *values]})
        for values in (
            ("TOMO", "NONE"),
            ("TOMO_2",),
            ("TOMO NO CAD",),
            ("3DTOMO",),
            ("TOMOSYNTHESIS", "OFF"),
            ("L_TOMO",),
        )
    ),
    *(
        ("multiframe", {"ImageType": ["DERIVED", "PRIMARY", value]})
        for value in ("NO CAD, TOMO", "NO SPOT/TOMO", "CAD OFF TOMO", "NO CAD TOMO")
    ),
    ("view_modifier", {"ImageType": ["ORIGINAL", "PRIMARY", "STEREO_LEFT"]}),
    ("view_modifier", {"ImageType": ["ORIGINAL", "PRIMARY", "STEREO 0"]}),
    ("view_modifier", {"ImageType": ["ORIGINAL", "PRIMARY", "STEREOTACTIC"]}),
    ("cad_or_sc", {"ImageType": ["DERIVED", "SECONDARY", "CAD_MARKS"]}),
    ("cad_or_sc", {"ImageType": ["DERIVED", "SECONDARY", "CAD NO 2"]}),
    ("spot_mag", {"ImageType": ["ORIGINAL", "PRIMARY", "MAG_1.8"]}),
    ("specimen", {"ImageType": ["ORIGINAL", "PRIMARY", "", "SPECIMEN_1"]}),
    ("spot_mag", PLAIN | {"PaddleDescription": "NO CAD 10CM SPOT"}),
    ("", {"PaddleDescription": "SPOT_OFF 24X30"}),
    ("", {"PaddleDescription": "Standard, spot excluded"}),
    ("", {"ImageType": ["ORIGINAL", "PRIMARY", "", "CAD REMOVED"]}),
    ("cad_or_sc", {"ImageType": ["ORIGINAL", "PRIMARY", "", "REMOVED", "CAD"]}),
]


@pytest.mark.parametrize(("reason", "elements"), KINDS)
def test_scan_and_conversion_give_one_reason_for_one_file(
    reason: str, elements: dict[str, Any], tmp_path: Path
) -> None:
    path = write_mammogram(tmp_path / "a.dcm", **({"pixels": breast()} | elements))
    assert read_header(path).reason == converted(path) == reason
    assert not reason or explained(reason) != "see the list"


def converted(path: Path) -> str:
    try:
        read_mammogram(path, "L", "CC")
    except Unusable as why:
        return why.code
    return ""


def test_pixels_that_are_compressed_in_a_file_that_denies_it_are_not_called_cut_off(tmp_path: Path) -> None:
    path = write_mammogram(tmp_path / "a.dcm", np.kron(breast(), np.ones((4, 4), np.uint16)), compress=JPEG2000Lossless)
    real, declared = (uid.encode() + b"\0" * (len(uid) % 2) for uid in (JPEG2000Lossless, "1.2.840.10008.1.2.1"))
    content = path.read_bytes()
    for old, new in ((real, declared.ljust(len(real), b"\0")),):
        content = content.replace(old, new, 1)
    path.write_bytes(content)
    assert read_header(path).reason == converted(path) == ""


@pytest.mark.parametrize("content", [b"", b"no DICOM", b"\0" * 300])
def test_what_is_no_dicom_file_has_one_reason_too(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(content)
    assert read_header(tmp_path / "a.dcm").reason == converted(tmp_path / "a.dcm") in {"empty", "not_dicom"}


def test_every_code_that_is_given_is_in_the_table() -> None:
    given = {
        found
        for path in (ROOT / "mammogan/data").rglob("*.py")
        for found in re.findall(r"(?:Unusable|Skipped|\.out|Header)\(\s*\"(\w+)\"", path.read_text(encoding="utf-8"))
    }
    assert len(given) > 20 and given <= set(REASONS), given - set(REASONS)


def test_no_other_module_has_meanings_of_its_own() -> None:
    others = [p.name for p in (ROOT / "mammogan/data").rglob("*.py") if 'for_processing": ' in p.read_text("utf-8")]
    assert others == ["reasons.py"]
