"""VinDr-Mammo: images/<study>/<image>.dicom, UIDs replaced by md5, no SOP class and no PatientID, BI-RADS, a split."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dicoms import breast
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.uid import UID

from archives.miniature import Miniature, with_lesions

BREASTS = (
    "study_id", "series_id", "image_id", "laterality", "view_position", "height", "width", "breast_birads",
    "breast_density", "split",
)  # fmt: skip
FINDINGS = (*BREASTS[:9], "finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax", "split")
GONE = ("PatientID", "PatientName", "PatientBirthDate", "AccessionNumber", "StudyDate",
        "InstitutionName", "ImageLaterality", "ViewPosition")  # fmt: skip


LESION = (28, 10, 41, 22)


def _forget_class(path: Path) -> None:
    """As the archive's own de-identification does."""
    with disable_value_validation():
        dataset = dcmread(path)
        dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.3.4")
        del dataset.SOPClassUID
        dataset.save_as(path)


def write(root: Path) -> Miniature:
    made = Miniature(root)
    rows: list[list[object]] = []

    def add(
        study: int, side: str, view: str, birads: int, expect: str, split: str = "training", **elements: object
    ) -> None:
        ids = [hashlib.md5(f"{kind}{study}{side}{view}".encode()).hexdigest() for kind in ("series", "image")]
        study_id = hashlib.md5(f"study{study}".encode()).hexdigest()
        path = made.image(
            f"images/{study_id}/{ids[1]}.dicom", expect, side, view, without=GONE, StudyInstanceUID=study_id,
            SeriesInstanceUID=ids[0], SOPInstanceUID=ids[1], Laterality=side, **elements,
        )  # fmt: skip
        _forget_class(path)
        rows.append([study_id, *ids, side, view, 96, 96, f"BI-RADS {birads}", "DENSITY C", split])

    for study in range(1, 11):  # some in each official part
        split = "test" if study > 7 else "training"
        drawn = with_lesions(breast(seed=study), LESION)
        add(study, "L", "CC", 5, "positive", split, pixels=drawn)
        add(study, "R", "CC", 1, "label_contralateral", split)
        add(100 + study, "L", "MLO", 1 + study % 2, "negative", split)
    add(200, "L", "CC", 4, "label_uncertain")
    add(200, "R", "CC", 3, "label_uncertain")
    add(201, "L", "CC", 2, "for_processing", PresentationIntentType="FOR PROCESSING")
    made.table("breast-level_annotations.csv", BREASTS, rows)
    top, left, bottom, right = LESION
    found = [
        [*row[:9], "['Mass', 'Suspicious Calcification']", "BI-RADS 5", left, top, right, bottom, row[9]]
        for row in rows
        if row[7] == "BI-RADS 5"
    ]
    found += [[*row[:9], "['No Finding']", "", "", "", "", "", row[9]] for row in rows if row[7] == "BI-RADS 1"]
    found.append([*rows[0][:9], "['Skin Thickening']", "BI-RADS 4", 0, 0, 5, 90, rows[0][9]])
    made.table("finding_annotations.csv", FINDINGS, found)
    made.table("metadata.csv", ("SOP Instance UID", "Window Center", "Window Width"), [("x", 2047, 4096)])
    return made
