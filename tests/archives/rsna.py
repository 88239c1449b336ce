"""RSNA 2022: train_images/<patient>/<image>.dcm and train.csv; other views, repeats, recalls, biopsies."""

from __future__ import annotations

from pathlib import Path

from archives.miniature import Miniature

COLUMNS = (
    "site_id", "patient_id", "image_id", "laterality", "view", "age", "cancer", "biopsy", "invasive", "BIRADS",
    "implant", "density", "machine_id", "difficult_negative_case",
)  # fmt: skip
PATIENTS = 8


def write(root: Path) -> Miniature:
    made = Miniature(root)
    rows: list[list[object]] = []

    def add(patient: int, expect: str, side: str, view: str, cancer: int, biopsy: int = 0, birads: str = "",
            number: int = 1, density: str = "") -> None:  # fmt: skip
        image = 1000 * patient + len(rows)
        name = f"train_images/{patient}/{image}.dcm"
        made.image(
            name, expect, side, view if view in ("CC", "MLO") else "", InstanceNumber=number,
            StudyInstanceUID=f"1.{patient}", PatientID=str(patient),
            photometric="MONOCHROME1" if patient % 2 else "MONOCHROME2",
        )  # fmt: skip
        rows.append([1, patient, image, side, view, "61.0", cancer, biopsy, 0, birads, 0, density, 21, "False"])

    for patient in range(10, 10 + PATIENTS // 2):  # women with cancer in the right breast
        add(patient, "positive", "R", "CC", 1, 1, "0.0", density="B")
        add(patient, "positive", "R", "MLO", 1, 1, "0.0", density="B")
        add(patient, "label_contralateral", "L", "CC", 0, 0, "1.0", density="B")
    for patient in range(20, 20 + PATIENTS // 2):
        add(patient, "negative", "L", "CC", 0, 0, "1.0" if patient % 2 else "")
        add(patient, "negative", "R", "MLO", 0, 0, "2.0" if patient % 2 else "")
    add(20, "view_excluded", "L", "AT", 0)
    add(21, "repeated_view", "R", "CC", 0, birads="1.0", number=1)
    add(21, "negative", "R", "CC", 0, birads="1.0", number=2)
    add(30, "label_recalled", "L", "CC", 0, 0, "0.0")
    add(31, "label_benign", "L", "CC", 0, 1, "0.0")
    made.image("train_images/40/40001.dcm", "not_listed")
    made.file("train_images/41/41001.dcm", "empty", b"")
    made.table("train.csv", COLUMNS, rows)
    made.table("sample_submission.csv", ("prediction_id", "cancer"), [("10_L", 0)])
    return made
