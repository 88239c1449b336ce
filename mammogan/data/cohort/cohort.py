"""Turn the rows of the cohort table into a cohort: split by patient, with pseudonyms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from mammogan.data.cohort.label_sources import SOURCES
from mammogan.data.cohort.pseudonyms import Pseudonyms
from mammogan.data.cohort.shared_studies import shared_studies
from mammogan.data.cohort.split import TENTHS, Division, divide, split_of
from mammogan.data.cohort.table import LESION_REGIONS, Row
from mammogan.errors import UserError
from mammogan.io import atomic, tables, terminal
from mammogan.workspace import SPLITS, Label

WORKSPACE_COLUMNS = ("key", "patient", "path", "laterality", "view", "label", "split")
ADDITION = "addition"
"""Column of the workspace's table that earlier versions did not write."""


@dataclass(frozen=True)
class Mammogram:
    """One image of the cohort under its pseudonyms.

    ``path`` is absolute and private to the workspace. ``line`` is the line of the user's table where its row begins.
    """

    line: int
    key: str
    patient: str
    path: Path
    laterality: str
    view: str
    label: Label
    split: str
    density: str | None
    study: str | None = None
    label_source: str | None = None
    laterality_source: str | None = None
    view_source: str | None = None
    lesion_regions: str = ""
    """Not empty: its archive has lesion regions of it, which are in the workspace's file of them."""
    addition: int = 0
    """With which addition to the workspace's table this row came; 0: with the first table."""


def assign(
    rows: Sequence[Row], folder: Path, names: Pseudonyms, seed: int, held: Mapping[str, str] | None = None
) -> list[Mammogram]:
    """Split the rows of a table in ``folder`` and give them pseudonyms; the order of the rows is kept.

    Patients in ``held``, by their pseudonyms, stay in the splits that it says, unless the table gives the splits. A
    study UID that many patients share names no exam, and is left out.
    """
    splits = given_splits(rows) or _split_beside(rows, names, seed, held or {}) or _split_by_position(rows, seed)
    shared = shared_studies((row.patient, row.study or "") for row in rows)
    told = [replace(row, study=None) if row.study in shared else row for row in rows]
    mammograms = [_pseudonymous(row, folder, names, splits[row.patient]) for row in told]
    _refuse_collisions(rows, mammograms)
    _refuse_divided_studies(mammograms)
    return mammograms


def given_splits(rows: Sequence[Row]) -> dict[str, str] | None:
    """Return the split of every patient if the table has a split column, else None."""
    if rows[0].split is None:
        return None
    return {row.patient: cast(str, row.split) for row in rows}


def split_patients(rows: Sequence[Row], seed: int) -> Division:
    """Split 80/10/10 by patient, separately for positive patients (with a positive image) and negative ones.

    Source: study, section 1. Each patient's split depends only on the seed and her identifier, unless the cohort is
    small: see ``divide``. Every split gets at least one patient of each label; UserError if there are too few.
    """
    positive = {row.patient for row in rows if row.label == "positive"}
    strata = {"positive": positive, "negative": {row.patient for row in rows} - positive}
    few = {label: len(patients) for label, patients in strata.items() if len(patients) < len(SPLITS)}
    if few:
        raise UserError(
            "a split by patient needs 3 positive and 3 negative patients, one for each of train, validation and test; "
            f"found {' and '.join(f'{n} {label}' for label, n in few.items())}; "
            "bring more patients, or a split column in every row"
        )
    parts = [divide(patients, seed, TENTHS) for patients in strata.values()]
    return Division({k: v for part in parts for k, v in part.splits.items()}, sum(part.moved for part in parts))


def _split_beside(rows: Sequence[Row], names: Pseudonyms, seed: int, held: Mapping[str, str]) -> dict[str, str]:
    """Keep the held patients where they are and place the others by their positions; empty if nobody is held."""
    found = {patient: held.get(names.patient(patient)) for patient in {row.patient for row in rows}}
    if not any(found.values()):
        return {}
    return {patient: split or split_of(seed, patient) for patient, split in found.items()}


def _split_by_position(rows: Sequence[Row], seed: int) -> dict[str, str]:
    division = split_patients(rows, seed)
    if moved := division.moved:
        who = "1 patient next to a border was" if moved == 1 else f"{moved} patients next to a border were"
        terminal.say(
            f"The cohort is small: {who} moved, so that no split has fewer than half the positive or negative patients "
            "it should have. In this workspace they stay there when others join"
        )
    return division.splits


def _pseudonymous(row: Row, folder: Path, names: Pseudonyms, split: str) -> Mammogram:
    patient = names.patient(row.patient)
    return Mammogram(
        line=row.line,
        key=f"{patient}-{names.image(row.path)}-{row.laterality}{row.view}",
        patient=patient,
        path=row.file.absolute(),
        laterality=row.laterality,
        view=row.view,
        label=row.label,
        split=split,
        density=row.density,
        study=names.study(row.patient, row.study) if row.study else None,
        lesion_regions=row.lesion_regions,
        **{column: getattr(row, column) for column in SOURCES},
    )


def _refuse_collisions(rows: Sequence[Row], mammograms: Sequence[Mammogram]) -> None:
    patients: defaultdict[str, set[str]] = defaultdict(set)
    for row, mammogram in zip(rows, mammograms, strict=True):
        patients[mammogram.patient].add(row.patient)
    keys = {mammogram.key for mammogram in mammograms}
    if len(keys) < len(mammograms) or any(len(names) > 1 for names in patients.values()):
        raise UserError("two patients or images got the same pseudonym by chance; use another salt file")


def _refuse_divided_studies(mammograms: Sequence[Mammogram]) -> None:
    """Refuse one exam with two patient identifiers in two splits.

    Either both are one woman, who must not be in two splits, or the table is wrong.
    """
    first: dict[str, Mammogram] = {}
    for mammogram in mammograms:
        earlier = first.setdefault(mammogram.study or mammogram.key, mammogram)
        if earlier.split != mammogram.split:
            raise UserError(
                f"lines {earlier.line} and {mammogram.line} of the table: one study by its UID, but two patients, one "
                f"in {earlier.split} and one in {mammogram.split}. If they are one woman give both rows one patient; "
                "if the UIDs are wrong, as some anonymisers leave them, empty the study column"
            )


def write_cohort(path: Path, mammograms: Sequence[Mammogram]) -> None:
    """Write the workspace's own table, readable by its owner only: the only file that links keys to paths."""
    has_regions = any(mammogram.lesion_regions for mammogram in mammograms)
    columns = (*WORKSPACE_COLUMNS, ADDITION, *([LESION_REGIONS] if has_regions else []))
    rows = ([str(getattr(mammogram, column)) for column in columns] for mammogram in mammograms)
    tables.write(path, columns, rows, atomic.PRIVATE)
