"""The cohort table as its user wrote it: read and checked as a whole, every fault in one error that names nobody."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import cast

from mammogan.config import LABELS, SPLITS, Label, UserError
from mammogan.data.slips import is_read_by_a_scan, quoted
from mammogan.data.sources import SOURCES, known_source
from mammogan.files import is_file

REQUIRED = ("path", "patient", "laterality", "view", "label")
ALLOWED = {
    "laterality": ("L", "R"),
    "view": ("CC", "MLO"),
    "label": LABELS,
    "split": SPLITS,
    "density": ("A", "B", "C", "D"),
}
OPTIONAL = ("split", "density")
READ = (*REQUIRED, *OPTIONAL, "study", *SOURCES)
OWNER = {value: column for column in ("laterality", "view", "label", "split") for value in ALLOWED[column]}
"""The column to which a value can only belong."""
SEPARATORS = ",;\t"
"""Of cells, as spreadsheets of one language or another write them; the first line shows which."""
MEND = "is a comma not in quotes?"
SHOWN_FAULTS = 10
"""Faults that a message quotes; of the others it says how many there are in each column."""
NO_FILE = "no such file"


@dataclass(frozen=True)
class Row:
    """One row as the user wrote it; ``line`` is where it begins, as a text editor counts.

    patient and study are private. The sources are words of sources.py; None where the table has others or none.
    """

    line: int
    path: str
    patient: str
    laterality: str
    view: str
    label: Label
    split: str | None
    density: str | None
    study: str | None = None
    label_source: str | None = None
    laterality_source: str | None = None
    view_source: str | None = None


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a table; ``line`` is where its row begins."""

    line: int
    column: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column}: expected {self.expected}, found {self.found}"


class TableError(UserError):
    """A table that cannot be used; ``faults`` holds every one of its faults."""

    def __init__(self, table: Path, faults: Sequence[Fault], hints: Sequence[str] = ()) -> None:
        self.faults = list(faults)
        shown = [f"  {fault}" for fault in self.faults[:SHOWN_FAULTS]]
        if len(self.faults) > SHOWN_FAULTS:
            by_column = Counter(fault.column for fault in self.faults).most_common()
            counts = ", ".join(f"{column} {count}" for column, count in by_column)
            shown.append(f"  and {len(self.faults) - SHOWN_FAULTS} more; faults by column: {counts}")
        plural = "s" if len(self.faults) != 1 else ""
        shown += [f"  {hint}" for hint in hints]
        super().__init__("\n".join([f"{table.name}: {len(self.faults)} fault{plural}; nothing was written", *shown]))


def read_table(table: Path) -> list[Row]:
    """All rows of a CSV with columns path, patient, laterality, view, label and optionally split and density.

    Of the further columns that a scan writes, study and the sources of label, side and view are read too; all others
    are for people. The names of columns may have any capitals, values may not.
    Raises TableError with every fault: unknown values, empty or surplus cells, files that do not exist or come twice,
    a patient in two splits.
    """
    header, lines = _cells(table)
    rows: list[Row] = []
    faults: list[Fault] = []
    for line, cells in lines:
        record = {name: cell.strip() for name, cell in zip_longest(header, cells[: len(header)], fillvalue="")}
        surplus = len(cells) - len(header)
        found = _shifted(line, record, surplus) or _cell_faults(line, record, table.parent)
        faults += found
        if not found:
            rows.append(_row(line, record))
    faults += _repeated_files(rows) + _split_faults(rows)
    if faults:
        hints = list(_hints(table, faults, len(lines)))
        raise TableError(table, sorted(faults, key=lambda fault: fault.line), hints)
    return rows


def _hints(table: Path, faults: Sequence[Fault], rows: int) -> Iterator[str]:
    missing = sum(fault.found == NO_FILE for fault in faults)
    if missing == rows > 1:
        yield f"none of the {missing} files is there: is their disk mounted, and is the table in its folder?"
    if any(is_read_by_a_scan(fault.column, fault.found) for fault in faults):
        out = "labels.csv" if table.name != "labels.csv" else "cohort.csv"
        yield f"such words are read by python shards/scan.py FOLDER --dataset csv --tables {table} --out {out}"


def _cells(table: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and for each row the line on which it begins and its cells."""
    text = _text(table)
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=first.count))
    lines, begins = [], 1
    try:
        header = _column_names(table, [name.strip() for name in next(reader, [])])
        begins = reader.line_num + 1
        for cells in reader:
            if cells:  # a blank line has none
                lines.append((begins, cells))
            begins = reader.line_num + 1  # a cell in quotes can hold line breaks
    except csv.Error as error:
        raise UserError(f"cohort table {table.name}: line {begins}: {error}; is a quote left open?") from None
    _check_header(table, header)
    if not lines:
        raise UserError(f"cohort table {table.name}: expected at least one row under the header, found none")
    return header, lines


def _column_names(table: Path, header: Sequence[str]) -> list[str]:
    """The names as ``READ`` writes them, whatever their capitals; another spelling beside the right one is ignored."""
    names = [name.lower() if name.lower() in READ and name.lower() not in header else name for name in header]
    if twice := [name for name in READ if names.count(name) > 1]:
        raise UserError(f"cohort table {table.name}: column {', '.join(twice)} is there twice; which one counts?")
    return names


def _check_header(table: Path, header: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if len(missing) == len(REQUIRED):  # then the line may be no header at all, but somebody's row: it is not quoted
        found = "none of them in the first line; is it a header, with commas, semicolons or tabs between?"
    else:
        found = ", ".join(header)
    if missing:
        raise UserError(
            f"cohort table {table.name}: column {', '.join(missing)} missing; expected {_columns()}; found {found}"
        )


def refuse_folder(table: Path) -> None:
    """UserError where a folder of mammograms stands for the table of them."""
    if table.is_dir():
        raise UserError(
            f"cohort table {table}: expected a CSV file, found a folder; name the table in it, or write one of its "
            f"mammograms with\n  python shards/scan.py {table} --out labels.csv"
        )


def _text(table: Path) -> str:
    try:
        refuse_folder(table)
        return table.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"cohort table {table}: no such file; --cohort names a CSV with columns {_columns()}") from None
    except OSError as error:
        raise UserError(
            f"cohort table {table} cannot be read: {error.strerror}; --cohort names a CSV file on a disk that is "
            "there, which you may read"
        ) from error
    except UnicodeDecodeError:
        raise UserError(
            f"cohort table {table}: expected UTF-8 text; save it as 'CSV UTF-8', or have it read, also if it is a "
            f"workbook, by\n  python shards/scan.py FOLDER --dataset csv --tables {table} --out labels.csv"
        ) from None


def _columns() -> str:
    return f"{', '.join(REQUIRED)} and, if you like, {', '.join(OPTIONAL)}"


def _shifted(line: int, record: dict[str, str], surplus: int) -> list[Fault]:
    """Whether the row's cells stand under the wrong headers, as a comma in a name moves them.

    It is then the row's only fault, and nothing is quoted: what stands under 'view' may be a part of the name.
    """
    if surplus > 0:
        return [Fault(line, "row", "as many cells as the header has", f"{surplus} more; {MEND}")]
    if any(OWNER.get(record.get(column, ""), column) != column for column in ALLOWED):
        return [Fault(line, "row", "each cell under its own header", f"cells of other columns; {MEND}")]
    return []


def _cell_faults(line: int, record: dict[str, str], folder: Path) -> list[Fault]:
    faults = []
    for column, allowed in ALLOWED.items():
        value = record.get(column, "")
        if value not in allowed and not (column in OPTIONAL and not value):
            faults.append(Fault(line, column, " or ".join(allowed), quoted(value)))
    # Neither paths nor patients are repeated in a message: both may name a person.
    if not record["patient"]:
        faults.append(Fault(line, "patient", "an identifier", "an empty cell"))
    if not record["path"]:
        faults.append(Fault(line, "path", "a DICOM file", "an empty cell"))
    elif not is_file(file := folder / record["path"]):
        found = "a folder" if _is_folder(file) else NO_FILE
        faults.append(Fault(line, "path", "a file, absolute or relative to the table's folder", found))
    return faults


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # of a disk that does not answer
        return False


def _row(line: int, record: dict[str, str]) -> Row:
    return Row(
        line=line,
        path=record["path"],
        patient=patient_of(record["patient"]),
        laterality=record["laterality"],
        view=record["view"],
        label=cast(Label, record["label"]),
        split=record.get("split") or None,
        density=record.get("density") or None,
        study=record.get("study") or None,
        **{column: known_source(column, record.get(column, "")) for column in SOURCES},
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
            faults.append(Fault(row.line, "path", "each file once", f"the file of line {first[row.path]}"))
        first.setdefault(row.path, row.line)
    return faults


def _split_faults(rows: Sequence[Row]) -> list[Fault]:
    if not any(row.split for row in rows):
        return []
    faults = []
    first: dict[str, Row] = {}
    for row in rows:
        earlier = first.setdefault(row.patient, row)
        if row.split is None:
            faults.append(Fault(row.line, "split", "a value in every row or in none", "an empty cell"))
        elif earlier.split is not None and earlier.split != row.split:
            here = f"{row.split}, but {earlier.split} in line {earlier.line}"
            faults.append(Fault(row.line, "split", "one split for all images of a patient", here))
    return faults
