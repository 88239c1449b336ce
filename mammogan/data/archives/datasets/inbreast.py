"""Read INbreast: AllDICOMs/<file>_<patient>_MG_<L|R>_<CC|ML>_ANON.dcm and INbreast.csv, separated by semicolons.

It has BI-RADS only, with 4a to 4c. The table says 'removed' for every patient; the file names give the patient as a
hash. The view that it calls ML is MLO.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header, TableSignature
from mammogan.data.archives.conflicts import checked, merge_rows
from mammogan.data.archives.labels import Basis, read_birads
from mammogan.data.archives.tables import Cells
from mammogan.data.cohort.identifiers import refuse_two_spellings_of

TABLE = TableSignature("INbreast.csv", frozenset({"file_name", "laterality", "view", "bi_rads"}))
NAME = re.compile(r"(\d+)_([0-9a-f]+)_MG_[LR]_\w+?_ANON", re.I)


def read(found: Found, basis: Basis) -> Catalogue:
    """Read the table. The keys are the numbers at the start of the file names."""
    table = found.one(TABLE)
    films = [row.identifier("file_name") for row in table.rows()]
    refuse_two_spellings_of("film", f"table {table.path.name}, File Name", (("", film) for film in films))
    entries = merge_rows(zip(films, (_entry(row, basis) for row in table.rows()), strict=True))

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        match = NAME.search(path.name)
        if not match or match[1] not in entries:
            return None
        return match[1], replace(entries[match[1]], patient=match[2].lower())

    return Catalogue(entries, find)


def _entry(row: Cells, basis: Basis) -> Entry:
    entry = Entry(
        patient="",
        laterality=row.side("laterality"),
        view=row["view"].upper(),
        finding=read_birads(row, "bi_rads", basis),
        label_source="radiologist_birads",
        study=row.get("acquisition_date", ""),
        density=row.density("acr"),
    )
    return checked(row, entry)


ARCHIVE = Archive(
    name="inbreast",
    title="INbreast",
    bases=("birads5", "birads45"),
    read=read,
    marks=(TABLE,),
    layout=re.compile(r"(^|/)\d+_[0-9a-f]{16}_MG_[LR]_(CC|ML|MLO)_ANON\.dcm$", re.I),
    ml_means_mlo=True,
)
