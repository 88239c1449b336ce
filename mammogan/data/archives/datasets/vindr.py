"""Read VinDr-Mammo (PhysioNet): images/<study>/<image>.dicom and breast-level_annotations.csv.

It has no pathology, only BI-RADS by radiologists. It has no patients, so each study counts as one. De-identification
replaced UIDs by hashes and removed SOP class and PatientID, so no file is left out for lacking these.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header, TableSignature
from mammogan.data.archives.conflicts import checked, merge_rows
from mammogan.data.archives.labels import Basis, read_birads
from mammogan.data.archives.tables import Cells
from mammogan.data.cohort.identifiers import refuse_two_spellings_of

TABLE = TableSignature(
    "breast-level_annotations.csv",
    frozenset({"study_id", "image_id", "laterality", "view_position", "breast_birads"}),
    never=frozenset({"finding_categories"}),
)
SPLITS = {"training": "train", "test": "test"}


def read(found: Found, basis: Basis) -> Catalogue:
    """Read the table. The keys are file names in lower case without suffix."""
    table = found.one(TABLE)
    images = [row["image_id"].lower() for row in table.rows()]
    refuse_two_spellings_of("image", f"table {table.path.name}, image_id", (("", image) for image in images))
    entries = merge_rows(zip(images, (_entry(row, basis) for row in table.rows()), strict=True))

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        key = path.stem.lower()
        return (key, entries[key]) if key in entries else None

    return Catalogue(entries, find)


def _entry(row: Cells, basis: Basis) -> Entry:
    study = row.patient("study_id")
    entry = Entry(
        patient=study,
        study=study,
        laterality=row.side("laterality"),
        view=row["view_position"].upper(),
        finding=read_birads(row, "breast_birads", basis),
        label_source="radiologist_birads",
        density=row.density("breast_density"),
        split=row.word("split", SPLITS, ""),
    )
    return checked(row, entry)


ARCHIVE = Archive(
    name="vindr",
    title="VinDr-Mammo",
    bases=("birads5", "birads45"),
    read=read,
    marks=(TABLE,),
    layout=re.compile(r"(^|/)[0-9a-f]{32}/[0-9a-f]{32}\.dicom$"),
    has_split=True,
)
