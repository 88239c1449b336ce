"""CSAW-CC: <patient>_20990909_<L|R>_<CC|MLO>_<n>.dcm; cases by registry with a timing, several exams a woman."""

from __future__ import annotations

from pathlib import Path

from archives.miniature import Miniature

COLUMNS = (
    "anon_patientid", "exam_year", "x_case", "x_cancer_laterality", "x_type", "x_lymphnode_met", "x_age", "rad_timing",
    "rad_r1", "rad_r2", "rad_recall", "rad_recall_type_right", "rad_recall_type_left", "imagelaterality",
    "viewposition", "dicom_manufacturer", "libra_percentdensity", "anon_filename",
)  # fmt: skip


def write(root: Path) -> Miniature:
    made = Miniature(root)
    rows: list[list[object]] = []

    def add(patient: str, year: int, side: str, view: str, expect: str, timing: str = "", cancer: str = "",
            recall: str = "0.0", number: int = 1) -> None:  # fmt: skip
        name = f"{patient}_20990909_{side}_{view}_{number}.dcm"
        made.image(
            name, expect, side, view, InstanceNumber=number, PatientID=patient, StudyInstanceUID=f"1.{patient}.{year}"
        )
        rows.append([
            patient, year, int(bool(cancer)), cancer, "2.0" if cancer else "", "", 2, timing, 1, 0, recall, "", "",
            {"L": "Left", "R": "Right"}[side], view, "HOLOGIC, Inc.", "31.7", name,
        ])  # fmt: skip

    add("00001", 2012, "L", "CC", "positive", "1.0", "Left", "1.0")
    add("00001", 2012, "L", "MLO", "positive", "1.0", "Left", "1.0")
    add("00001", 2012, "R", "CC", "label_contralateral", "1.0", "Left", "1.0")
    add("00001", 2010, "L", "CC", "label_prior", "3.0", "Left", number=2)
    add("00002", 2014, "R", "MLO", "label_interval", "2.0", "Right")
    add("00003", 2013, "L", "CC", "negative")
    add("00003", 2013, "R", "CC", "negative", recall="")
    add("00003", 2013, "R", "MLO", "repeated_view")
    add("00003", 2013, "R", "MLO", "negative", number=2)
    add("00004", 2013, "R", "CC", "label_recalled", recall="1.0")
    made.table("CSAW-CC_breast_cancer_screening_data.csv", COLUMNS, rows)
    return made
