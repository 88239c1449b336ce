"""Read CSAW-CC (Karolinska): files <patient>_20990909_<L|R>_<CC|MLO>_<n>.dcm and one table with a row per image.

Cancers come from a registry. Only screen-detected cancers (rad_timing 1) are positive. Images before an interval cancer
(2) have the finding interval, images from earlier exams (3) prior, and the other breast of a case contralateral.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header, TableSignature
from mammogan.data.archives.conflicts import checked, merge_rows
from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import Cells

TABLE = TableSignature(
    "CSAW-CC_breast_cancer_screening_data.csv",
    frozenset({"anon_patientid", "anon_filename", "x_case", "x_cancer_laterality", "rad_timing", "imagelaterality"}),
    needed=frozenset({"rad_recall"}),
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


def _entry(row: Cells) -> Entry:
    patient = row.patient("anon_patientid")
    entry = Entry(
        patient=patient,
        study=f"{patient}-{row.identifier('exam_year')}",
        laterality=row.side("imagelaterality"),
        view=row.get("viewposition", "").upper(),
        finding=_finding(row),
        label_source="registry",
    )
    return checked(row, entry)


def _finding(row: Cells) -> Finding:
    case, timing, recalled = row.yes("x_case"), row.whole("rad_timing", range(1, 4)), row.yes("rad_recall")
    of_cancer, of_image = row.side("x_cancer_laterality"), row.side("imagelaterality")
    if case is None:
        return "unknown"
    if not case:
        return "recalled" if recalled else "normal"
    if of_cancer and of_cancer != of_image:
        return "contralateral"
    return BY_TIMING.get(timing, "unknown") if of_cancer else "unknown"


ARCHIVE = Archive(
    name="csaw-cc",
    title="CSAW-CC (Karolinska)",
    bases=("biopsy",),
    read=read,
    marks=(TABLE,),
    layout=re.compile(r"_20990909_[LR]_(CC|MLO)_\d+\.dcm$", re.I),
)
