"""Read RSNA Screening Mammography Breast Cancer Detection (Kaggle 2022): train_images/<patient>/<image>.dcm, train.csv.

``cancer`` is a label of the breast, proven by biopsy. A negative breast may have been biopsied (benign) or recalled
(BI-RADS 0, not recorded for half of the images); otherwise it counts as normal because of its screening.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header, TableSignature
from mammogan.data.archives.conflicts import checked, merge_rows
from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import Cells
from mammogan.data.cohort.identifiers import refuse_two_spellings_of

TABLE = TableSignature(
    "train.csv",
    frozenset({"patient_id", "image_id", "laterality", "view", "cancer"}),
    needed=frozenset({"biopsy", "birads"}),
)


def read(found: Found, basis: Basis) -> Catalogue:
    """Read the table. The keys are file names without suffix; ``basis`` is ignored."""
    table = found.one(TABLE)
    images = [row.identifier("image_id") for row in table.rows()]
    refuse_two_spellings_of("image", f"table {table.path.name}, image_id", (("", image) for image in images))
    entries = merge_rows(zip(images, map(_entry, table.rows()), strict=True))

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        return (path.stem, entries[path.stem]) if path.stem in entries else None

    return Catalogue(entries, find)


def _entry(row: Cells) -> Entry:
    finding = _finding(row)
    patient = row.patient("patient_id")
    entry = Entry(
        patient=patient,
        study=patient,  # each patient has one exam
        laterality=row.side("laterality"),
        view=row["view"].upper(),
        finding=finding,
        label_source="biopsy" if finding in ("cancer", "benign") else "screening",
        density=row.density("density"),
    )
    return checked(row, entry)


def _finding(row: Cells) -> Finding:
    cancer, biopsy, birads = row.yes("cancer"), row.yes("biopsy"), row.whole("birads", range(7))
    if cancer is None:
        return "unknown"
    if cancer:
        return "cancer"
    if biopsy:
        return "benign"
    return "recalled" if birads == 0 else "normal"


ARCHIVE = Archive(
    name="rsna",
    title="RSNA Screening Mammography (Kaggle 2022)",
    bases=("biopsy",),
    read=read,
    marks=(TABLE,),
    layout=re.compile(r"(^|/)train_images/\d+/\d+\.dcm$"),
)
