"""Read cohort.csv, the workspace's own table, which links the samples of the shards to the paths of their files."""

from __future__ import annotations

from pathlib import Path

from mammogan.io.records import DamagedRecord
from mammogan.io.tables import read_own_csv

REMEDY = (
    "Bring it back from a copy. If no mammograms were ever added to this workspace, mammogan make-shards with the same "
    "table writes it again"
)


def rows_by_key(cohort: Path) -> dict[str, dict[str, str]]:
    """Return all rows by the key of their sample. Raise UserError if the file is no such table."""
    try:
        rows = read_own_csv(cohort)
    except ValueError as error:
        raise DamagedRecord(cohort, f"it is no table of mammograms ({error})", REMEDY) from None
    if not rows:
        raise DamagedRecord(cohort, "it has no rows", REMEDY)
    for number, row in enumerate(rows, 2):
        if not row.get("key") or not row.get("path") or "\0" in row["path"]:
            raise DamagedRecord(cohort, f"row {number} has no key or no path", REMEDY)
    return {row["key"]: row for row in rows}


def row_of(rows: dict[str, dict[str, str]], key: str, cohort: Path) -> dict[str, str]:
    """Return the row of a sample. Raise UserError if there is none."""
    if key not in rows:
        raise DamagedRecord(cohort, f"it lacks {key}, which is in the shards", REMEDY)
    return rows[key]
