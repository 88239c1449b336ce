"""Read CBIS-DDSM (TCIA): digitised film in the NBIA retriever's folders, and four tables with one row per abnormality.

A film gets the worst label of all its abnormalities, masses and calcifications, because the same film can be in both
sets. Files are matched by their SeriesInstanceUID, or else by the PatientID, which names set, patient, side and view,
because the paths in the tables are not the paths on disk. The folders also contain cropped parts and lesion masks. No
woman in this archive is normal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header, TableSignature
from mammogan.data.archives.conflicts import checked, merge_rows
from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import UNKNOWN_CELL, Cells

TABLE = TableSignature(
    "{mass,calc}_case_description_{train,test}_set.csv",
    frozenset({"patient_id", "left_or_right_breast", "image_view", "pathology", "image_file_path"}),
)
FILM = re.compile(r"(Mass|Calc)-(Training|Test)_(P_\d+)_(LEFT|RIGHT)_(CC|MLO)(_\d+)?", re.I)
PART = re.compile(r"(cropped|roi mask) images", re.I)
"""How the archive describes the series of a part of a film; that of a complete one is 'full mammogram images'."""
FindingAndSource = tuple[Finding, str]
UNKNOWN: FindingAndSource = ("unknown", "pathology")
FINDING_OF_PATHOLOGY: dict[str, FindingAndSource] = {
    "benign_without_callback": ("benign", "radiologist_birads"),  # never biopsied
    "benign": ("benign", "pathology"),
    "malignant": ("cancer", "pathology"),
}
"""Finding and label source of each pathology."""
BENIGN_WITHOUT_CALLBACK, BENIGN, MALIGNANT = FINDING_OF_PATHOLOGY.values()
RANK = (BENIGN_WITHOUT_CALLBACK, BENIGN, UNKNOWN, MALIGNANT)
"""An abnormality without a pathology may be malignant, so a benign one beside it does not decide."""


def read(found: Found, basis: Basis) -> Catalogue:
    """Read the four tables. The keys are films, such as mass-training_p_00001_left_cc; ``basis`` is ignored."""
    rows: list[tuple[str, Entry]] = []
    film_of_series: list[tuple[str, str]] = []
    for table in found.all_of(TABLE):
        for row in table.rows():
            path = row["image_file_path"].replace("\\", "/")
            film = match[0].lower() if (match := FILM.search(path)) else path
            rows.append((film, _entry(row, "train" if "training_" in film else "test" if "test_" in film else "")))
            film_of_series += [(series, film) for series in path.split("/")[-2:-1]]
    entries = _with_the_worst(rows)
    of_series = merge_rows((series, entries[film]) for series, film in film_of_series)
    films = dict(film_of_series)

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        if header.series in of_series:
            return films[header.series], of_series[header.series]
        match = next(filter(None, (FILM.fullmatch(part) for part in (header.patient, *path.parts))), None)
        film = match[0].lower().removesuffix(match[6] or "") if match else ""
        if match is None or film not in entries:
            return None
        is_part = bool(match[6]) or bool(PART.match(header.series_text))
        return film, replace(entries[film], excluded="not_full_image", why_excluded="") if is_part else entries[film]

    return Catalogue(entries, find)


def _with_the_worst(rows: Sequence[tuple[str, Entry]]) -> dict[str, Entry]:
    """Return each film's entry with the worst finding of its breast and view in any row, also of the other sets."""
    # A row that is not understood may have held the worst finding, so it counts for the film.
    unread = {film: entry for film, entry in rows if entry.excluded == UNKNOWN_CELL}
    films = merge_rows((film, replace(entry, finding="unknown")) for film, entry in rows) | unread
    worst: dict[str, FindingAndSource] = {}
    for film, entry in rows:
        if not films[film].excluded:
            place = _breast_view(entry)
            one = entry.finding, entry.label_source
            worst[place] = max(worst.get(place, one), one, key=RANK.index)
    for film, entry in films.items():
        if not entry.excluded:
            finding, source = worst[_breast_view(entry)]
            films[film] = replace(entry, finding=finding, label_source=source)
    return films


def _entry(row: Cells, split: str) -> Entry:
    finding, source = row.word("pathology", FINDING_OF_PATHOLOGY, UNKNOWN)
    patient = row.patient("patient_id")
    entry = Entry(
        patient=patient,
        study=patient,
        laterality=row.side("left_or_right_breast"),
        view=row["image_view"].upper(),
        finding=finding,
        label_source=source,
        density=row.density("breast_density"),
        split=split,
    )
    return checked(row, entry)


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
