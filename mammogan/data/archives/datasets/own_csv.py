"""Read a user's own table, for any other archive.

Its columns are path, patient, label and, if known, laterality, view, study, density, split (train, validation or test)
and label_source (a word of label_sources.py). A missing side or view is taken from the header or the file name.

label is a word (negative, positive, or a finding such as benign); a column ``cancer`` with 0 and 1 works as well. Where
both are there, label counts, and an image of which they say two things is left out. A
label of 0 or 1 is refused, because in some lists 0 means cancer. Any other unknown word for the label, the side, the
view, the density or the split is refused too; empty cells are allowed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import get_args

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header, TableSignature
from mammogan.data.archives.conflicts import CONFLICT, merge_rows
from mammogan.data.archives.datasets.own_view import view_of
from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import NO, YES, Cells, Table, density_of
from mammogan.data.archives.views import SIDES, laterality_in
from mammogan.data.cohort.identifiers import names_nobody
from mammogan.data.cohort.label_sources import known_source
from mammogan.data.cohort.quoting import quoted
from mammogan.data.cohort.table_files import find_file
from mammogan.errors import UserError

LABELLED = TableSignature("", frozenset({"path", "patient", "label"}))
CANCER = TableSignature("", frozenset({"path", "patient", "cancer"}), never=frozenset({"label"}))
WORDS: dict[str, Finding] = {
    "positive": "cancer",
    "malignant": "cancer",
    "negative": "normal",
    **{finding: finding for finding in get_args(Finding)},
    "": "unknown",
}
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
OPTIONAL: dict[str, tuple[str, Callable[[str], object]]] = {
    "laterality": (", ".join(SIDES), lambda cell: cell.upper() in SIDES),
    "view": ("a view such as CC, L CC, cranio-caudal or ML", lambda cell: bool(view_of(cell))),
    "density": ("A to D, or 1 to 4", density_of),
    "split": (", ".join(SPLIT_WORDS), lambda cell: cell.lower() in SPLIT_WORDS),
}
"""Columns whose cells may be empty: the other allowed values, in words and as a test."""
MAY_HAVE_CANCER: frozenset[Finding] = frozenset(("cancer", "interval", "prior", "contralateral", "unknown"))
"""Findings that a 1 in the column cancer does not contradict, where it is of the breast, or of the woman."""
SHOWN_KINDS = 5
"""How many kinds of unknown words a message lists; of the other kinds it gives only the number of rows."""
NUMBERS: dict[str, Finding] = {"1": "cancer", "1.0": "cancer", "0": "normal", "0.0": "normal", "": "unknown"}


def read(found: Found, basis: Basis) -> Catalogue:
    """Read the table. The keys are absolute paths; ``basis`` is ignored. UserError if a cell has an unknown word."""
    mark = CANCER if found.matching(CANCER) and not found.matching(LABELLED) else LABELLED
    table = found.one(mark)
    words, column = (WORDS, "label") if mark is LABELLED else (NUMBERS, "cancer")
    rows = list(table.rows())
    _refuse_unknown_words(table, rows, column, words)
    folder = table.path.parent
    entries = merge_rows(
        (_key(row["path"], folder, found.root), _entry(row, words[row[column].lower()])) for row in rows
    )

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        key = str((found.root / path).absolute())
        return (key, entries[key]) if key in entries else None

    return Catalogue(entries, find)


def _refuse_unknown_words(table: Table, rows: Sequence[dict[str, str]], labels: str, words: dict[str, Finding]) -> None:
    """Raise UserError, a line for each column with unknown words; ``words`` are allowed in column ``labels``."""
    columns = {labels: (", ".join(filter(None, words)), lambda cell: cell.lower() in words), **OPTIONAL}
    if lines := list(_unknown_words(table, rows, columns)):
        raise UserError("\n".join(lines))


def _unknown_words(
    table: Table, rows: Sequence[dict[str, str]], columns: dict[str, tuple[str, Callable[[str], object]]]
) -> Iterator[str]:
    for column, (expected, is_known) in columns.items():
        unknown = [cell for row in rows if (cell := row.get(column, "")) and not is_known(cell)]
        if unknown:
            is_number = column == "label" and set(unknown) <= {"0", "1"}
            hint = "; name the column 'cancer' if 1 is a cancer" if is_number else ""
            yield f"table {table.path.name}, {column}: expected {expected}; found {_counted(unknown)}{hint}"


def _counted(cells: Iterable[str]) -> str:
    """Say what was found and in how many rows, the most frequent first; a cell that may name a person is not quoted."""
    kinds = Counter(map(quoted, cells)).most_common()
    shown = [f"{kind} in {_rows(number)}" for kind, number in kinds[:SHOWN_KINDS]]
    if others := sum(number for _, number in kinds[SHOWN_KINDS:]):
        shown.append(f"others in {_rows(others)}")
    return ", ".join(shown)


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"


def _key(path: str, folder: Path, root: Path) -> str:
    """Return the absolute path of the file that a cell names, relative to the table's folder or to the root."""
    return str(find_file(path, folder, root)[0].absolute())


def _entry(row: Cells, finding: Finding) -> Entry:
    patient, study = row.identifier("patient"), row.identifier("study")
    side, side_of_view = SIDES.get(row.get("laterality", "").upper(), ""), laterality_in(row.get("view", ""))
    why = "a view of the other side" if side and side_of_view and side != side_of_view else ""
    if _is_contradicted(finding, row.get("cancer", "").lower()):
        finding, why = "unknown", "label and cancer say two things"
    return Entry(
        patient="" if names_nobody(patient) else patient,
        study="" if names_nobody(study) else study,
        laterality=side or side_of_view,
        view=view_of(row.get("view", "")),
        finding=finding,
        label_source=known_source("label_source", row.get("label_source", "")) or "table",
        density=density_of(row.get("density", "")),
        split=SPLIT_WORDS.get(row.get("split", "").lower(), ""),
        excluded=CONFLICT if why else "",
        why_excluded=why,
    )


def _is_contradicted(finding: Finding, cancer: str) -> bool:
    """Return whether a cell of the column cancer says another thing than the label; any other word says nothing."""
    return (cancer in NO and finding == "cancer") or (cancer in YES and finding not in MAY_HAVE_CANCER)


ARCHIVE = Archive(
    name="csv",
    title="a table of your own",
    bases=("table",),
    read=read,
    marks=(LABELLED, CANCER),
    has_split=True,
    is_own=True,
)
