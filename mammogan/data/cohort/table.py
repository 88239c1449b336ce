"""Read and check the user's cohort table; one error lists all faults without naming a patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from mammogan.data.cohort.breasts_apart import APART_HINT, Shown, breasts_surely_apart
from mammogan.data.cohort.identifiers import (
    NO_NAME,
    NO_NAME_HINT,
    ROUNDED_NUMBER,
    is_rounded,
    not_an_identifier,
    patient_of,
    spelling_free,
)
from mammogan.data.cohort.label_sources import SOURCES, known_source
from mammogan.data.cohort.quoting import NUMBERED, NUMBERED_HINT, is_read_by_a_scan, quoted
from mammogan.data.cohort.spreadsheets import CHANGED_HINT, changed_identifiers
from mammogan.data.cohort.table_files import find_file, why_not
from mammogan.errors import UserError
from mammogan.io.shell import shell_word
from mammogan.io.tables import WHOLE, Line, NotText, read_lines, row_of, surplus
from mammogan.workspace import LABELS, SPLITS, Label

REQUIRED = ("path", "patient", "laterality", "view", "label")
ALLOWED = {
    "laterality": ("L", "R"),
    "view": ("CC", "MLO"),
    "label": LABELS,
    "split": SPLITS,
    "density": ("A", "B", "C", "D"),
}
OPTIONAL = ("split", "density")
LESION_REGIONS = "lesion_regions"
"""Column in which a scan counts the lesion regions of each image; they are in a file beside the table."""
READ = (*REQUIRED, *OPTIONAL, "study", *SOURCES, LESION_REGIONS)
OWNER = {value: column for column in ("laterality", "view", "label", "split") for value in ALLOWED[column]}
"""The only column in which a value is allowed."""
COMMA_HINT = "is a comma not in quotes?"
SHOWN_FAULTS = 10
"""How many faults a message lists; if there are more, it adds the number of faults in each column."""
OF_ANOTHER_BREAST = "it with another side or view, as in P001L and P001R"
NO_FILE = "no such file"
SPELLING_HINT = (
    "one patient with two spellings would be two patients, in two splits: write her identifier alike in all rows. If "
    "they are two women, give them identifiers that differ in more than zeros, case and spaces"
)


@dataclass(frozen=True)
class Row:
    """One row as the user wrote it; ``line`` is the line where it begins, as a text editor counts lines.

    patient and study are private. ``file`` is the file that ``path`` names on this machine. The sources are words of
    label_sources.py; None if the table has other words or none.
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
    lesion_regions: str = ""
    """Not empty: the file of lesion regions beside the table has some of this image."""
    file: Path = Path()


@dataclass(frozen=True)
class Fault:
    """One fault of a table; ``line`` is the line where its row begins."""

    line: int
    column: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column}: expected {self.expected}, found {self.found}"


class TableError(UserError):
    """The table cannot be used; ``faults`` holds all its faults."""

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
    """Read all rows of a CSV with columns path, patient, laterality, view, label and optionally split and density.

    The columns study, label_source, laterality_source, view_source and lesion_regions, which mammogan scan writes, are
    read too; all other columns are ignored. Column names may be in upper or lower case; values must match exactly.
    Raises TableError with all faults: unknown values, empty or surplus cells, files that do not exist or are listed
    twice, a patient in two splits.
    """
    header, lines = _cells(table)
    rows: list[Row] = []
    faults: list[Fault] = []
    for line in lines:
        record = row_of(header, line)
        file, fault = _file_of(line.number, record["path"], table.parent)
        found = _misaligned_cells(line, record, len(header)) or [*_cell_faults(line.number, record), *fault]
        faults += found
        if not found:
            rows.append(_row(line.number, record, file))
    faults += _repeated_files(rows) + _split_faults(rows) + _spelling_faults(rows) + _changed_faults(rows)
    faults += _breast_faults(rows)
    if faults:
        hints = list(_hints(table, faults, len(lines)))
        raise TableError(table, sorted(faults, key=lambda fault: fault.line), hints)
    return rows


def _hints(table: Path, faults: Sequence[Fault], rows: int) -> Iterator[str]:
    missing = sum(fault.found == NO_FILE for fault in faults)
    if missing == rows > 1:
        yield f"none of the {missing} files is there: is their disk mounted, and is the table in its folder?"
    if any(fault.column == "label" and NUMBERED.fullmatch(fault.found) for fault in faults):
        yield NUMBERED_HINT
    if any(fault.column == "patient" and "spelling" in fault.expected for fault in faults):
        yield SPELLING_HINT
    if any(fault.found == OF_ANOTHER_BREAST for fault in faults):
        yield APART_HINT
    if any(fault.found == NO_NAME for fault in faults):
        yield NO_NAME_HINT
    if any("spreadsheet" in fault.found and fault.found != ROUNDED_NUMBER for fault in faults):
        yield CHANGED_HINT
    if any(is_read_by_a_scan(fault.column, fault.found) for fault in faults):
        out = "labels.csv" if table.name != "labels.csv" else "cohort.csv"
        read = shell_word(table)
        yield f"such words are read by mammogan scan FOLDER --dataset csv --tables {read} --out {shell_word(out)}"


def _cells(table: Path) -> tuple[list[str], list[Line]]:
    """Return the names of the columns, and the rows."""
    lines = _lines(table)
    header = _column_names(table, [name.strip() for name in lines[0].cells] if lines else [])
    _check_header(table, header)
    if not lines[1:]:
        raise UserError(f"cohort table {table.name}: expected at least one row under the header, found none")
    return header, lines[1:]


def _column_names(table: Path, header: Sequence[str]) -> list[str]:
    """Return the column names in the spelling of ``READ``, whatever their case.

    If the exact name is there too, a column in another spelling is ignored.
    """
    names = [name.lower() if name.lower() in READ and name.lower() not in header else name for name in header]
    if twice := [name for name in READ if names.count(name) > 1]:
        raise UserError(f"cohort table {table.name}: column {', '.join(twice)} is there twice; which one counts?")
    return names


def _check_header(table: Path, header: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if len(missing) == len(REQUIRED):  # the line may be a patient's row instead of a header, so it is not quoted
        found = "none of them in the first line; is it a header, with commas, semicolons or tabs between?"
    else:
        found = ", ".join(header)
    if missing:
        raise UserError(
            f"cohort table {table.name}: column {', '.join(missing)} missing; expected {_columns()}; found {found}"
        )


def refuse_folder(table: Path) -> None:
    """Raise UserError if ``table`` is a folder."""
    if table.is_dir():
        raise UserError(
            f"cohort table {table}: expected a CSV file, found a folder; name the table in it, or write one of its "
            f"mammograms with\n  mammogan scan {table} --out labels.csv"
        )


def refuse_missing(table: Path) -> None:
    """Raise UserError, which names the path that was tried, if ``table`` is a folder or is not there."""
    refuse_folder(table)
    if not table.exists():
        tried = "" if table.is_absolute() else f" (tried {table.absolute()})"
        raise UserError(f"cohort table {table}: no such file{tried}; --cohort names a CSV with columns {_columns()}")


def _lines(table: Path) -> list[Line]:
    try:
        refuse_missing(table)
        return list(read_lines(table, WHOLE))
    except OSError as error:
        raise UserError(
            f"cohort table {table} cannot be read: {error.strerror}; --cohort names a CSV file on a disk that is "
            "there, which you may read"
        ) from error
    except NotText:
        raise UserError(
            f"cohort table {table}: expected UTF-8 text; save it as 'CSV UTF-8', or have it read, also if it is a "
            f"workbook, by\n  mammogan scan FOLDER --dataset csv --tables {table} --out labels.csv"
        ) from None


def _columns() -> str:
    return f"{', '.join(REQUIRED)} and, if you like, {', '.join(OPTIONAL)}"


def _misaligned_cells(line: Line, record: dict[str, str], columns: int) -> list[Fault]:
    """Return a fault if the row's cells are under the wrong headers, for example because a name contains a comma.

    It is then the only fault of the row, and quotes nothing: the text under 'view' may be a part of the name.
    """
    if more := surplus(line, columns):
        return [Fault(line.number, "row", "as many cells as the header has", f"{more} more; {COMMA_HINT}")]
    if any(OWNER.get(record.get(column, ""), column) != column for column in ALLOWED):
        return [Fault(line.number, "row", "each cell under its own header", f"cells of other columns; {COMMA_HINT}")]
    return []


def _cell_faults(line: int, record: dict[str, str]) -> list[Fault]:
    faults = []
    for column, allowed in ALLOWED.items():
        value = record.get(column, "")
        if value not in allowed and not (column in OPTIONAL and not value):
            faults.append(Fault(line, column, " or ".join(allowed), quoted(value)))
    # Messages never quote paths or patients: both may name a person.
    if found := not_an_identifier(record["patient"]):
        faults.append(Fault(line, "patient", "an identifier", found))
    if is_rounded(record.get("study", "")):
        faults.append(Fault(line, "study", "an identifier", ROUNDED_NUMBER))
    return faults


def _file_of(line: int, path: str, folder: Path) -> tuple[Path, list[Fault]]:
    """Return the file that a row names, and a fault if it cannot be reached."""
    if not path:
        return folder, [Fault(line, "path", "a DICOM file", "an empty cell")]
    file, place = find_file(path, folder)
    if place == "file":
        return file, []
    return file, [Fault(line, "path", "a file, absolute or relative to the table's folder", why_not(path, place))]


def _row(line: int, record: dict[str, str], file: Path) -> Row:
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
        lesion_regions=record.get(LESION_REGIONS, ""),
        file=file,
        **{column: known_source(column, record.get(column, "")) for column in SOURCES},
    )


def _repeated_files(rows: Sequence[Row]) -> list[Fault]:
    first: dict[Path, int] = {}
    faults = []
    for row in rows:
        if row.file in first:
            faults.append(Fault(row.line, "path", "each file once", f"the file of line {first[row.file]}"))
        first.setdefault(row.file, row.line)
    return faults


def _spelling_faults(rows: Sequence[Row]) -> list[Fault]:
    """Return a fault for each further spelling of a patient, such as 0100 and 100.0 where an earlier row has 100."""
    first: dict[str, Row] = {}
    faults: dict[str, Fault] = {}
    for row in rows:
        earlier = first.setdefault(spelling_free(row.patient), row)
        if earlier.patient != row.patient and row.patient not in faults:
            found = f"the patient of line {earlier.line} with other zeros, case, spaces or quotes"
            faults[row.patient] = Fault(row.line, "patient", "one spelling for each patient", found)
    return list(faults.values())


def _changed_faults(rows: Sequence[Row]) -> list[Fault]:
    """Return a fault for each patient whose identifier a spreadsheet has changed, at her first row."""
    changed = changed_identifiers(row.patient for row in rows)
    first = {row.patient: row.line for row in reversed(rows)}
    return [Fault(first[patient], "patient", "an identifier", what) for patient, what in changed.items()]


def _breast_faults(rows: Sequence[Row]) -> list[Fault]:
    """Return a fault for each patient who has an identifier for each breast or view, such as P001L and P001R."""
    apart = breasts_surely_apart(Shown(row.line, row.patient, row.laterality, row.view) for row in rows)
    return [Fault(line, "patient", f"the identifier of line {first}", OF_ANOTHER_BREAST) for first, line in apart]


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
