"""Read CSAW-CC (Karolinska): files <patient>_20990909_<L|R>_<CC|MLO>_<n>.dcm and one table with a row per image.

Cancers come from a registry. Only screen-detected cancers (rad_timing 1) are positive. Images before an interval cancer
(2) have the finding interval, images from earlier exams (3) prior, and the other breast of a case contralateral.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header, TableSignature
from mammogan.data.archives.conflicts import merge_rows
from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import number
from mammogan.data.archives.views import SIDES

TABLE = TableSignature(
    "CSAW-CC_breast_cancer_screening_data.csv",
    frozenset({"anon_patientid", "anon_filename", "x_case", "x_cancer_laterality", "rad_timing", "imagelaterality"}),
)
BY_TIMING: dict[int | None, Finding] = {1: "cancer", 2: "interval", 3: "prior"}


def read(found: Found, basis: Basis) -> Catalogue:
    """Read the table. The keys are file names in lower case without .dcm; ``basis`` is ignored."""
    entries = merge_rows((_key(row["anon_filename"]), _entry(row)) for row in found.one(TABLE).rows())

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        key = _key(path.name)
        return (key, entries[key]) if key in entries else None

    return Catalogue(entries, find)


def _key(name: str) -> str:
    return name.lower().removesuffix(".dcm")


def _entry(row: dict[str, str]) -> Entry:
    return Entry(
        patient=row["anon_patientid"],
        study=f"{row['anon_patientid']}-{row.get('exam_year', '')}",
        laterality=SIDES.get(row["imagelaterality"].upper(), ""),
        view=row.get("viewposition", "").upper(),
        finding=_finding(row),
        label_source="registry",
    )


def _finding(row: dict[str, str]) -> Finding:
    case = number(row["x_case"])
    if case is None:
        return "unknown"
    if not case:
        return "recalled" if number(row.get("rad_recall", "")) == 1 else "normal"
    if SIDES.get(row["x_cancer_laterality"].upper()) not in (None, SIDES.get(row["imagelaterality"].upper())):
        return "contralateral"
    if not row["x_cancer_laterality"]:
        return "unknown"
    return BY_TIMING.get(number(row["rad_timing"]), "unknown")


ARCHIVE = Archive(
    name="csaw-cc",
    title="CSAW-CC (Karolinska)",
    bases=("biopsy",),
    read=read,
    marks=(TABLE,),
    layout=re.compile(r"_20990909_[LR]_(CC|MLO)_\d+\.dcm$", re.I),
)
