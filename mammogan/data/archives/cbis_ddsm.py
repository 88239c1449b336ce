"""CBIS-DDSM (TCIA): digitised film, a tree as the NBIA retriever writes it, and four tables with a row per abnormality.

A film's label is the worst over the abnormalities in it, whether masses or calcifications, for the same film is in both
sets. Files are found by their SeriesInstanceUID, or else by the PatientID, which names set, person, side and view; the
tables' paths are not those on disk. Cropped parts and lesion masks lie beside the films. No woman here is normal.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath

from mammogan.data.archives.archive import Archive, Catalogue, Entry, Found, Header, Mark
from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import cell_of, density_of
from mammogan.data.archives.views import SIDES

TABLE = Mark(
    "{mass,calc}_case_description_{train,test}_set.csv",
    frozenset({"patient_id", "left_or_right_breast", "image_view", "pathology", "image_file_path"}),
)
FILM = re.compile(r"(Mass|Calc)-(Training|Test)_(P_\d+)_(LEFT|RIGHT)_(CC|MLO)(_\d+)?", re.I)
FINDINGS: dict[str, Finding] = {"MALIGNANT": "cancer", "BENIGN": "benign", "BENIGN_WITHOUT_CALLBACK": "benign"}
RANK = ("unknown", "benign", "cancer")


def read(found: Found, basis: Basis) -> Catalogue:
    worst: dict[str, Finding] = {}
    entries: dict[str, Entry] = {}
    film_of_series: dict[str, str] = {}
    for table in found.all_of(TABLE):
        for row in table.rows():
            path = row["image_file_path"].replace("\\", "/")
            film = match[0].lower() if (match := FILM.search(path)) else path
            entry = _entry(row, "train" if "training_" in film else "test" if "test_" in film else "")
            entries.setdefault(film, entry)
            worst[_breast_view(entry)] = max(worst.get(_breast_view(entry), "unknown"), entry.finding, key=RANK.index)
            film_of_series.update(dict.fromkeys(path.split("/")[-2:-1], film))
    entries = {film: replace(entry, finding=worst[_breast_view(entry)]) for film, entry in entries.items()}

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        if film := film_of_series.get(header.series):
            return film, entries[film]
        match = next(filter(None, (FILM.fullmatch(part) for part in (header.patient, *path.parts))), None)
        film = match[0].lower().removesuffix(match[6] or "") if match else ""
        if match is None or film not in entries:
            return None
        is_part = bool(match[6]) or bool(re.search(r"crop|mask|roi", header.series_text, re.I))
        return film, replace(entries[film], excluded="not_full_image") if is_part else entries[film]

    return Catalogue(entries, find)


def _entry(row: dict[str, str], split: str) -> Entry:
    return Entry(
        patient=row["patient_id"],
        study=row["patient_id"],
        laterality=SIDES.get(row["left_or_right_breast"].upper(), ""),
        view=row["image_view"].upper(),
        finding=FINDINGS.get(row["pathology"].upper(), "unknown"),
        label_source="pathology",
        density=density_of(cell_of(row, "breast_density")),
        split=split,
    )


def _breast_view(entry: Entry) -> str:
    return f"{entry.patient} {entry.laterality} {entry.view}"


ARCHIVE = Archive(
    name="cbis-ddsm",
    title="CBIS-DDSM (TCIA), digitised film",
    bases=("biopsy",),
    read=read,
    marks=(TABLE,),
    layout=re.compile(r"(^|/)(Mass|Calc)-(Training|Test)_P_\d+_(LEFT|RIGHT)_(CC|MLO)"),
    is_film=True,
    has_split=True,
)
