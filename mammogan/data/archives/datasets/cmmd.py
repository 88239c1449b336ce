"""Read CMMD (TCIA): the NBIA retriever's folders and CMMD_clinicaldata_revision.xlsx, one row per labelled breast.

Only ViewCodeSequence gives the view, and ImageLaterality the side. A woman's other breast has no row.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header, TableSignature
from mammogan.data.archives.conflicts import checked
from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import UNKNOWN_CELL, Cells

TABLE = TableSignature("CMMD_clinicaldata_revision.xlsx", frozenset({"id1", "leftright", "classification"}))
FINDINGS: dict[str, Finding] = {"malignant": "cancer", "benign": "benign"}
RANK = ("unknown", "benign", "cancer")
PATIENT = re.compile(r"D[12]-\d{4}")


def read(found: Found, basis: Basis) -> Catalogue:
    """Read the table. The keys are <patient>/<side>; a breast without a row is unlisted. ``basis`` is ignored."""
    entries: dict[str, Entry] = {}
    for row in found.one(TABLE).rows():
        entry = _entry(row)
        key = f"{entry.patient}/{entry.laterality}"
        entries[key] = max(entries.get(key, entry), entry, key=_rank)
    women = {entry.patient for entry in entries.values()}

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        # The folder comes first: an anonymiser may have given all files one PatientID.
        patient = next(filter(PATIENT.fullmatch, (*path.parts, header.patient.upper())), header.patient)
        key = f"{patient}/{header.laterality}"
        if key in entries:
            return key, entries[key]
        return (key, Entry(patient, "unlisted", "presumed", study=patient)) if patient in women else None

    return Catalogue(entries, find)


def _entry(row: Cells) -> Entry:
    patient, side = row.patient("id1").upper(), row.side("leftright")
    if not side:  # nothing else says which breast the finding is in
        row.unread.setdefault("leftright", "")
    entry = Entry(
        patient=patient,
        study=patient,
        laterality=side,
        finding=row.word("classification", FINDINGS, "unknown"),
        label_source="pathology",
    )
    return checked(row, entry)


def _rank(entry: Entry) -> tuple[bool, int]:
    """Rank the rows of a breast: a row that is not understood counts most, then the worst finding."""
    return entry.excluded == UNKNOWN_CELL, RANK.index(entry.finding)


ARCHIVE = Archive(
    name="cmmd",
    title="CMMD, the Chinese Mammography Database (TCIA)",
    bases=("biopsy",),
    read=read,
    marks=(TABLE,),
    layout=re.compile(r"(^|/)D[12]-\d{4}/"),
)
