"""EMBED: cohort_<n>/<patient>/<study>/<image>.dcm, a table of files and one of findings, C-View and spots too."""

from __future__ import annotations

from pathlib import Path

from archives.miniature import Miniature

FILES = ("Unnamed: 0", "empi_anon", "acc_anon", "study_date_anon", "FinalImageType", "ImageLateralityFinal",
         "ViewPosition", "spot_mag", "num_roi", "ROI_coords", "anon_dicom_path")  # fmt: skip
FINDINGS = ("empi_anon", "acc_anon", "study_date_anon", "side", "bside", "asses", "path_severity", "tissueden", "desc")


def write(root: Path) -> Miniature:
    made = Miniature(root)
    rows: list[list[object]] = []

    def add(patient: int, exam: int, side: str, view: str, expect: str, kind: str = "2D", spot: str = "") -> None:
        inside = f"cohort_1/{patient}/1.2.{exam}/1.2.{exam}.{len(rows)}.dcm"
        made.image(f"images/{inside}", expect, side, view, PatientID=str(patient))
        path = f"/mnt/NAS2/mammo/anon_dicom/{inside}"
        rows.append([len(rows), patient, exam, "2015-01-01", kind, side, view, spot, 0, "()", path])

    findings = [
        # Recalled in the left breast, cancer there by the diagnostic exam's biopsy; the right breast has no row.
        (1, 11, "2015-01-01", "L", "", "A", "", "2.0", "screening"),
        (1, 12, "2015-01-20", "L", "L", "M", "0.0", "2.0", "diagnostic"),
        # The exam five years before found nothing.
        (1, 10, "2010-01-01", "", "", "N", "", "2.0", "screening"),
        (2, 21, "2015-01-01", "", "", "N", "", "1.0", "screening"),
        (3, 31, "2015-01-01", "R", "", "A", "", "", "screening"),
        (3, 32, "2015-02-01", "R", "R", "S", "4.0", "", "diagnostic"),
        (4, 41, "2015-01-01", "B", "", "A", "", "", "screening"),
        (5, 51, "2015-01-01", "L", "", "P", "", "", "diagnostic"),
        # Called negative, cancer within the year.
        (6, 61, "2015-01-01", "", "", "N", "", "", "screening"),
        (6, 62, "2015-09-01", "R", "", "K", "1.0", "", "diagnostic"),
        # A finding in the left breast alone; in the right one, which has no row, cancer within the year.
        (9, 91, "2015-01-01", "L", "", "B", "", "", "screening"),
        (9, 92, "2015-06-01", "R", "R", "K", "0.0", "", "diagnostic"),
        # Both breasts examined, cancer in one; the pathology names its side, the finding says both.
        (8, 81, "2015-01-01", "B", "R", "S", "1", "3", "diagnostic"),
    ]
    add(1, 11, "L", "CC", "positive")
    add(1, 11, "R", "CC", "label_contralateral")
    add(1, 12, "L", "MLO", "positive")
    add(1, 12, "L", "CC", "spot_mag", spot="1.0")
    add(1, 11, "L", "MLO", "synthetic2d", kind="cview")
    add(1, 11, "R", "MLO", "multiframe", kind="3D")
    add(1, 10, "L", "CC", "label_prior")
    add(2, 21, "L", "CC", "negative")
    add(2, 21, "R", "MLO", "negative")
    add(2, 21, "R", "ML", "view_excluded")
    add(3, 31, "R", "CC", "label_benign")
    add(3, 31, "L", "CC", "negative")
    add(4, 41, "L", "CC", "label_recalled")
    add(5, 51, "L", "CC", "label_uncertain")
    add(6, 61, "R", "CC", "label_interval")
    add(7, 71, "R", "CC", "no_label")
    add(9, 91, "R", "CC", "label_interval")
    add(8, 81, "R", "CC", "positive")
    add(8, 81, "L", "CC", "label_contralateral")
    made.table("tables/EMBED_OpenData_metadata.csv", FILES, rows)
    made.table("tables/EMBED_OpenData_metadata_reduced.csv", FILES, rows[:2])
    made.table(
        "tables/EMBED_OpenData_clinical.csv", FINDINGS, [[*row[:1], f"{row[1]}.0", *row[2:]] for row in findings]
    )
    made.table("tables/AWS_Open_Data_Clinical_Legend.csv", ("Header in export", "Meaning"), [("asses", "BIRADS")])
    return made
