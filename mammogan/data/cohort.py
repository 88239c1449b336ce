"""The rows of the cohort table as a cohort: split by patient, under pseudonyms."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from mammogan import files
from mammogan.config import SPLITS, Label, UserError
from mammogan.data.pseudonyms import Pseudonyms
from mammogan.data.table import Row

WORKSPACE_COLUMNS = ("key", "patient", "path", "laterality", "view", "label", "split")


@dataclass(frozen=True)
class Mammogram:
    """One image of the cohort under its pseudonyms. ``path`` is absolute and private to the workspace.

    ``line`` is where its row begins in the user's table.
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


def assign(rows: Sequence[Row], folder: Path, names: Pseudonyms, seed: int) -> list[Mammogram]:
    """Split the rows of a table in ``folder`` and give them pseudonyms; the order stays that of the rows."""
    splits = given_splits(rows) or split_patients(rows, seed)
    mammograms = [_pseudonymous(row, folder, names, splits[row.patient]) for row in rows]
    _refuse_collisions(rows, mammograms)
    return mammograms


def given_splits(rows: Sequence[Row]) -> dict[str, str] | None:
    """Split of every patient when the table brings them, else None."""
    if rows[0].split is None:
        return None
    return {row.patient: cast(str, row.split) for row in rows}


def split_patients(rows: Sequence[Row], seed: int) -> dict[str, str]:
    """80/10/10 by patient, positive patients (those with a positive image) and negative ones apart (study, section 1).

    Depends on the seed, the patients and their labels: not on the order of the rows. Every split gets at least one
    patient of each label, or a UserError says that there are too few.
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
    return {patient: split for patients in strata.values() for patient, split in _split_stratum(patients, seed)}


def _split_stratum(patients: set[str], seed: int) -> list[tuple[str, str]]:
    # Sorted by a hash, a patient who joins later moves at most a few others over a border.
    shuffled = sorted(patients, key=lambda patient: hashlib.sha256(f"{seed}\0{patient}".encode()).digest())
    tenth = max(1, (len(shuffled) + 5) // 10)
    parts = {"test": shuffled[:tenth], "validation": shuffled[tenth : 2 * tenth], "train": shuffled[2 * tenth :]}
    return [(patient, split) for split, members in parts.items() for patient in members]


def _pseudonymous(row: Row, folder: Path, names: Pseudonyms, split: str) -> Mammogram:
    patient = names.patient(row.patient)
    return Mammogram(
        line=row.line,
        key=f"{patient}-{names.image(row.path)}-{row.laterality}{row.view}",
        patient=patient,
        path=(folder / row.path).absolute(),
        laterality=row.laterality,
        view=row.view,
        label=row.label,
        split=split,
        density=row.density,
    )


def _refuse_collisions(rows: Sequence[Row], mammograms: Sequence[Mammogram]) -> None:
    patients: defaultdict[str, set[str]] = defaultdict(set)
    for row, mammogram in zip(rows, mammograms, strict=True):
        patients[mammogram.patient].add(row.patient)
    keys = {mammogram.key for mammogram in mammograms}
    if len(keys) < len(mammograms) or any(len(names) > 1 for names in patients.values()):
        raise UserError("two patients or images got the same pseudonym by chance; use another salt file")


def write_cohort(path: Path, mammograms: Sequence[Mammogram]) -> None:
    """The workspace's own table, readable by its owner only: the one place where keys and paths meet."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(WORKSPACE_COLUMNS)
    writer.writerows([getattr(mammogram, column) for column in WORKSPACE_COLUMNS] for mammogram in mammograms)
    files.write_text(path, text.getvalue(), files.PRIVATE)
