"""Read NL-Breast-Screening (Newfoundland): NLBSP-metadata.csv, whose File Path is written with backslashes.

Its file paths end in <patient>/<left|right>/<CC|MLO>/<file>. The column ``Cancer`` is taken as the image's own label.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header, TableSignature
from mammogan.data.archives.conflicts import merge_rows
from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import cell_of, number, tail
from mammogan.data.archives.views import SIDES

TABLE = TableSignature("NLBSP-metadata.csv", frozenset({"file_path", "cancer", "false_positive"}))
YES, NO = ("1", "1.0", "true", "yes", "y"), ("0", "0.0", "false", "no", "n")


def read(found: Found, basis: Basis) -> Catalogue:
    """Read the table. The keys are the last four parts of a file's path; ``basis`` is ignored."""
    entries = merge_rows((tail(row["file_path"], 4), _entry(row)) for row in found.one(TABLE).rows())

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        key = tail(path.as_posix(), 4)
        return (key, entries[key]) if key in entries else None

    return Catalogue(entries, find)


def _entry(row: dict[str, str]) -> Entry:
    finding = _finding(row)
    patient, side, view, _ = ["", "", "", "", *tail(row["file_path"], 4).split("/")][-4:]
    return Entry(
        patient=patient,
        laterality=SIDES.get((cell_of(row, "image_laterality", "laterality") or side).upper(), ""),
        view=(cell_of(row, "view_position", "view") or view).upper(),
        finding=finding,
        label_source="biopsy" if finding == "cancer" else "screening",
    )


def _finding(row: dict[str, str]) -> Finding:
    cancer = row["cancer"].lower()
    if cancer in YES or (number(cancer) or 0) > 0:
        return "cancer"
    if cancer not in NO:
        return "unknown"
    return "recalled" if row["false_positive"].lower() in YES else "normal"


ARCHIVE = Archive(
    name="nlbs",
    title="NL-Breast-Screening (Newfoundland)",
    bases=("biopsy",),
    read=read,
    marks=(TABLE,),
    layout=re.compile(r"(^|/)\d+/(left|right)/(CC|MLO)/[^/]+\.dcm$", re.I),
)
