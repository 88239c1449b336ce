"""Continue the cohort of a workspace when its table has grown, so that only the added rows have to be converted.

The workspace's own table, cohort.csv, records the order of the rows, the split of every patient, and the addition that
each row came with: 0 for the first table, 1 for the first rows that were added to it, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mammogan.data.cohort.cohort import Mammogram
from mammogan.io.tables import read_own_csv


@dataclass(frozen=True)
class Held:
    """The rows that a workspace has shards of; empty for a new workspace."""

    additions: Mapping[str, int] = field(default_factory=dict)
    """Addition of each row by its key, in the order of the workspace's table."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """Split of each patient by her pseudonym."""


def held_in(cohort: Path) -> Held:
    """Read the workspace's own table; empty if it is missing or damaged. Tables of earlier versions have no additions.

    Without it, the table counts as a first one: it must then be the one of the shards.
    """
    try:
        rows = read_own_csv(cohort)
        additions = {row["key"]: int(row.get("addition") or 0) for row in rows}
        if {*additions.values()} != {*range(len({*additions.values()}))}:
            return Held()
        return Held(additions, {row["patient"]: row["split"] for row in rows})
    except (OSError, ValueError, KeyError):
        return Held()


def continued(mammograms: Sequence[Mammogram], held: Held) -> list[Mammogram]:
    """Return the rows in the order of ``held``, those that it lacks last, each with the addition it came with.

    So the shards of the earlier rows are planned as before, wherever in the table the new rows are.
    """
    if not held.additions:
        return list(mammograms)
    by_key = {mammogram.key: mammogram for mammogram in mammograms}
    new = max(held.additions.values()) + 1
    earlier = [replace(by_key[key], addition=n) for key, n in held.additions.items() if key in by_key]
    return earlier + [replace(row, addition=new) for row in mammograms if row.key not in held.additions]


def of_addition(mammograms: Sequence[Mammogram], addition: int) -> list[Mammogram]:
    """Return the rows that came with this addition."""
    return [row for row in mammograms if row.addition == addition]


def additions(mammograms: Sequence[Mammogram]) -> range:
    """Return the numbers of all additions to the first table, 1 and higher."""
    return range(1, max((row.addition for row in mammograms), default=0) + 1)
