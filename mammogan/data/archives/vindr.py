"""VinDr-Mammo (PhysioNet): images/<study>/<image>.dicom and breast-level_annotations.csv.

No pathology: BI-RADS by radiologists. No patient: a study stands for one. De-identification replaced UIDs by hashes and
took SOP class and PatientID away, so nothing of that may be asked of a file.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from mammogan.data.archives.agreement import agreed
from mammogan.data.archives.archive import Archive, Catalogue, Entry, Found, Header, Mark
from mammogan.data.archives.labels import Basis, finding_of_birads
from mammogan.data.archives.tables import density_of
from mammogan.data.archives.views import SIDES

TABLE = Mark(
    "breast-level_annotations.csv",
    frozenset({"study_id", "image_id", "laterality", "view_position", "breast_birads"}),
    never=frozenset({"finding_categories"}),
)
SPLITS = {"training": "train", "test": "test"}


def read(found: Found, basis: Basis) -> Catalogue:
    entries = agreed((row["image_id"].lower(), _entry(row, basis)) for row in found.one(TABLE).rows())

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        key = path.stem.lower()
        return (key, entries[key]) if key in entries else None

    return Catalogue(entries, find)


def _entry(row: dict[str, str], basis: Basis) -> Entry:
    return Entry(
        patient=row["study_id"],
        study=row["study_id"],
        laterality=SIDES.get(row["laterality"].upper(), ""),
        view=row["view_position"].upper(),
        finding=finding_of_birads(row["breast_birads"], basis),
        label_source="radiologist_birads",
        density=density_of(row.get("breast_density", "")),
        split=SPLITS.get(row.get("split", "").lower(), ""),
    )


ARCHIVE = Archive(
    name="vindr",
    title="VinDr-Mammo",
    bases=("birads5", "birads45"),
    read=read,
    marks=(TABLE,),
    layout=re.compile(r"(^|/)[0-9a-f]{32}/[0-9a-f]{32}\.dicom$"),
    has_split=True,
)
