"""The cohort table: one row per mammogram, checked as a whole, split by patient."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from mammogan.config import LABELS, SPLITS, Label, UserError
from mammogan.data.pseudonyms import Pseudonyms
from mammogan.files import write_text

REQUIRED = ("path", "patient", "laterality", "view", "label")
ALLOWED = {
    "laterality": ("L", "R"),
    "view": ("CC", "MLO"),
    "label": LABELS,
    "split": SPLITS,
    "density": ("A", "B", "C", "D"),
}
OPTIONAL = ("split", "density")
SHOWN_FAULTS = 200
WORKSPACE_COLUMNS = ("key", "patient", "path", "laterality", "view", "label", "split")


@dataclass(frozen=True)
class Row:
    """One row as the user wrote it; ``number`` is what a spreadsheet shows (the header is 1). patient is private."""

    number: int
    path: str
    patient: str
    laterality: str
    view: str
    label: Label
    split: str | None
    density: str | None


@dataclass(frozen=True)
class Mammogram:
    """One image of the cohort under its pseudonyms. ``path`` is absolute and private to the workspace."""

    row: int
    key: str
    patient: str
    path: Path
    laterality: str
    view: str
    label: Label
    split: str
    density: str | None


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a table."""

    row: int
    column: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.column}: expected {self.expected}, found {self.found}"


class TableError(UserError):
    """A table that cannot be used; ``faults`` holds every one of its faults."""

    def __init__(self, table: Path, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        shown = [f"  {fault}" for fault in self.faults[:SHOWN_FAULTS]]
        if len(self.faults) > SHOWN_FAULTS:
            by_column = Counter(fault.column for fault in self.faults)
            shown.append(f"  and more; faults by column: {dict(by_column)}")
        plural = "s" if len(self.faults) != 1 else ""
        super().__init__("\n".join([f"{table.name}: {len(self.faults)} fault{plural}; nothing was written", *shown]))


def assign(rows: Sequence[Row], folder: Path, names: Pseudonyms, seed: int) -> list[Mammogram]:
    """Split the rows of a table in ``folder`` and give them pseudonyms; the order stays that of the rows."""
    splits = given_splits(rows) or split_patients(rows, seed)
    mammograms = [_pseudonymous(row, folder, names, splits[row.patient]) for row in rows]
    _refuse_collisions(rows, mammograms)
    return mammograms


def read_table(table: Path) -> list[Row]:
    """All rows of a CSV with columns path, patient, laterality, view, label and optionally split and density.

    Raises TableError with every fault: unknown values, empty cells, files that do not exist or come twice,
    a patient in two splits.
    """
    records = _records(table)
    rows: list[Row] = []
    faults: list[Fault] = []
    for number, record in records:
        found = _cell_faults(number, record, table.parent)
        faults += found
        if not found:
            rows.append(_row(number, record))
    faults += _repeated_files(rows) + _split_faults(rows)
    if faults:
        raise TableError(table, sorted(faults, key=lambda fault: fault.row))
    return rows


def _records(table: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"cohort table {table}: no such file; --cohort names a CSV with columns {_columns()}") from None
    except UnicodeDecodeError:
        raise UserError(f"cohort table {table}: expected UTF-8 text; save it as 'CSV UTF-8'") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
    header = [name.strip() for name in reader.fieldnames or []]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise UserError(
            f"cohort table {table.name}: column {', '.join(missing)} missing; expected {_columns()}; "
            f"found {', '.join(header) or 'an empty file'}"
        )
    reader.fieldnames = header
    records = [(number, cast(dict[str, str], record)) for number, record in enumerate(reader, start=2)]
    if not records:
        raise UserError(f"cohort table {table.name}: expected at least one row under the header, found none")
    return records


def _columns() -> str:
    return f"{', '.join(REQUIRED)} and, if you like, {', '.join(OPTIONAL)}"


def _cell_faults(number: int, record: dict[str, str], folder: Path) -> list[Fault]:
    faults = []
    if "" in record:
        faults.append(Fault(number, "row", "as many cells as the header has", f"{len(record[''])} more"))
    for column, allowed in ALLOWED.items():
        value = (record.get(column) or "").strip()
        if value not in allowed and not (column in OPTIONAL and not value):
            faults.append(Fault(number, column, " or ".join(allowed), _quoted(value)))
    # Neither paths nor patients are repeated in a message: both may name a person.
    if not record["patient"].strip():
        faults.append(Fault(number, "patient", "an identifier", "an empty cell"))
    path = record["path"].strip()
    if not path:
        faults.append(Fault(number, "path", "a DICOM file", "an empty cell"))
    elif not (folder / path).is_file():
        faults.append(Fault(number, "path", "a file, absolute or relative to the table's folder", "no such file"))
    return faults


def _quoted(value: str) -> str:
    return repr(value[:20]) if value else "an empty cell"


def _row(number: int, record: dict[str, str]) -> Row:
    cell = {name: record.get(name, "").strip() for name in (*REQUIRED, *OPTIONAL)}
    return Row(
        number=number,
        path=cell["path"],
        patient=patient_of(cell["patient"]),
        laterality=cell["laterality"],
        view=cell["view"],
        label=cast(Label, cell["label"]),
        split=cell["split"] or None,
        density=cell["density"] or None,
    )


def patient_of(identifier: str) -> str:
    """The patient whom an identifier means.

    CBIS-DDSM writes side and view into it (Mass-Test_P_00820_LEFT_CC), which would make several patients of one.
    """
    match = re.search(r"(P_\d+)_(LEFT|RIGHT)_(CC|MLO)", identifier)
    return match[1] if match else identifier


def _repeated_files(rows: Sequence[Row]) -> list[Fault]:
    first: dict[str, int] = {}
    faults = []
    for row in rows:
        if row.path in first:
            faults.append(Fault(row.number, "path", "each file once", f"the file of row {first[row.path]}"))
        first.setdefault(row.path, row.number)
    return faults


def _split_faults(rows: Sequence[Row]) -> list[Fault]:
    if not any(row.split for row in rows):
        return []
    faults = []
    first: dict[str, Row] = {}
    for row in rows:
        earlier = first.setdefault(row.patient, row)
        if row.split is None:
            faults.append(Fault(row.number, "split", "a value in every row or in none", "an empty cell"))
        elif earlier.split is not None and earlier.split != row.split:
            here = f"{row.split}, but {earlier.split} in row {earlier.number}"
            faults.append(Fault(row.number, "split", "one split for all images of a patient", here))
    return faults


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
        row=row.number,
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
    write_text(path, text.getvalue())
    path.chmod(0o600)
