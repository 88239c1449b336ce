"""A hospital's own folder with a table of its own: every quirk that a header can have, one file each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from dicoms import breast
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    MammographyCADSRStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

from archives.miniature import Miniature, code

COLUMNS = ("path", "patient", "label", "laterality", "view", "density")
NO_VIEW, NO_SIDE = ("ViewPosition",), ("ImageLaterality",)
NEITHER = (*NO_VIEW, *NO_SIDE)


def write(root: Path) -> Miniature:
    made = Miniature(root)
    rows: list[list[object]] = []

    def add(
        name: str,
        expect: str,
        label: str = "negative",
        side: str = "L",
        listed: str = "",
        view: str = "CC",
        **options: Any,
    ) -> None:
        made.image(f"d/{name}", expect, side, view, **options)
        rows.append([f"d\\{name}", name, label, listed, "", "b"])

    def codes(value: str, scheme: str = "SCT", meaning: str = "", **modifier: str) -> list[object]:
        item = code(value, scheme, meaning)
        item.ViewModifierCodeSequence = [code(value) for value in modifier.values()]
        return [item]

    add("plain", "negative")
    add("sick.dcm", "positive", "positive")
    add("benign.dcm", "label_benign", "benign")
    add("no-label.dcm", "no_label", "")
    # Where the view stands.
    add("srt-code.dcm", "negative", without=NO_VIEW, ViewCodeSequence=codes("R-10226", "SRT"))
    add("meaning.dcm", "negative", without=NO_VIEW, ViewCodeSequence=codes("X-1", "99LOCAL", "medio-lateral oblique"))
    add("fuji.dcm", "negative", without=NO_VIEW, AcquisitionDeviceProcessingDescription="R MLO")
    add("series.dcm", "negative", without=NO_VIEW, SeriesDescription="Routine LMLO")
    add("2_L_MLO.dcm", "negative", without=NEITHER)
    add("ml.dcm", "view_excluded", view="ML")
    add("unknown.dcm", "no_view", without=NO_VIEW)
    # Where the side stands.
    add("position.dcm", "negative", side="R", view="RIGHT CC", without=NO_SIDE)
    add("oriented.dcm", "negative", side="R", without=NO_SIDE, PatientOrientation=["P", "L"])
    add("sideless.dcm", "no_laterality", without=NO_SIDE)
    add("listed.dcm", "negative", listed="LEFT", without=NO_SIDE)
    add("disagreeing.dcm", "negative", listed="L", side="R")
    # What is no plain view.
    add("spot-code.dcm", "spot_mag", ViewCodeSequence=codes("399162004", modifier="399055006"))
    add("rolled.dcm", "view_modifier", ViewCodeSequence=codes("399162004", modifier="399197002"))
    add("displaced.dcm", "implant_displaced", ViewModifierCodeSequence=[code("R-102D5", "SRT")])
    add("paddle.dcm", "spot_mag", PaddleDescription="10CM SPOT")
    add("magnified.dcm", "spot_mag", EstimatedRadiographicMagnificationFactor="1.8")
    add("image.dcm", "negative", SeriesDescription="L CC image", EstimatedRadiographicMagnificationFactor="1.07")
    add("cview.dcm", "synthetic2d", SeriesDescription="L CC C-View")
    add("generated.dcm", "synthetic2d", ImageType=["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"])
    add("specimen.dcm", "specimen", SeriesDescription="Specimen")
    add("derived.dcm", "negative", ImageType=["DERIVED", "PRIMARY"])
    # What is no mammogram to use.
    add("tomo.dcm", "multiframe", SOPClassUID=BreastTomosynthesisImageStorage)
    add("frames.dcm", "multiframe", NumberOfFrames=3)
    add("raw.dcm", "for_processing", PresentationIntentType="FOR PROCESSING")
    add("us.dcm", "not_mg", Modality="US", SOPClassUID=UltrasoundImageStorage)
    add("cad.dcm", "cad_or_sc", Modality="SR", SOPClassUID=MammographyCADSRStorage)
    add("class.dcm", "sop_class", SOPClassUID=UltrasoundImageStorage)
    add("screenshot.dcm", "cad_or_sc", SOPClassUID=SecondaryCaptureImageStorage)
    add("film.dcm", "film", SOPClassUID=SecondaryCaptureImageStorage, ConversionType="DF")
    add("small.dcm", "too_small", pixels=breast((32, 32)))
    add("colour.dcm", "colour", photometric="RGB", SamplesPerPixel=3, pixels=breast(bits=8).astype(np.uint8), bits=8)
    add("no-pixels.dcm", "no_pixels", without=("Rows", "Columns"))
    # What cannot be read.
    add("cut.dcm", "truncated")
    cut = root / "d/cut.dcm"
    cut.write_bytes(cut.read_bytes()[:-4000])
    for name, content in {"text.dcm": b"no DICOM", "preview.png": b"\x89PNG"}.items():
        made.file(f"d/{name}", "not_dicom", content)
    made.file("d/empty", "empty", b"")
    made.file("d/more.zip", "packed", b"PK")
    made.image("d/space.dcm ", "bad_name")
    link = root / "d/broken.dcm"
    link.symlink_to(root / "nowhere")
    made.expected["d/broken.dcm"] = "unreadable"
    made.image("d/unlisted.dcm", "not_listed")
    made.table("mine.csv", COLUMNS, rows, encoding="cp1252")
    return made
