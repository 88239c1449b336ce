"""Read NL-Breast-Screening (Newfoundland): NLBSP-metadata.csv, whose File Path is written with backslashes.

Its file paths end in <patient>/<left|right>/<CC|MLO>/<file>. The column ``Cancer`` is taken as the image's own label.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header, TableSignature
from mammogan.data.archives.conflicts import checked, merge_rows
from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import Cells, tail
from mammogan.data.archives.views import SIDES

TABLE = TableSignature("NLBSP-metadata.csv", frozenset({"file_path", "cancer", "false_positive"}))


def read(found: Found, basis: Basis) -> Catalogue:
    """Read the table. The keys are the last four parts of a file's path; ``basis`` is ignored."""
    entries = merge_rows((tail(row["file_path"], 4), _entry(row)) for row in found.one(TABLE).rows())

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        key = tail(path.as_posix(), 4)
        return (key, entries[key]) if key in entries else None

    return Catalogue(entries, find)


def _entry(row: Cells) -> Entry:
    finding = _finding(row)
    patient, side, view, _ = ["", "", "", "", *tail(row["file_path"], 4).split("/")][-4:]
    entry = Entry(
        patient=patient,
        laterality=row.side("image_laterality", "laterality") or SIDES.get(side.upper(), ""),
        view=(row.get("view_position") or row.get("view") or view).upper(),
        finding=finding,
        label_source="biopsy" if finding == "cancer" else "screening",
    )
    return checked(row, entry)


def _finding(row: Cells) -> Finding:
    cancer, recalled = row.yes("cancer"), row.yes("false_positive")
    if cancer is None:
        return "unknown"
    if cancer:
        return "cancer"
    return "recalled" if recalled else "normal"


ARCHIVE = Archive(
    name="nlbs",
    title="NL-Breast-Screening (Newfoundland)",
    bases=("biopsy",),
    read=read,
    marks=(TABLE,),
    layout=re.compile(r"(^|/)\d+/(left|right)/(CC|MLO)/[^/]+\.dcm$", re.I),
)
