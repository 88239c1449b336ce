"""Merge the rows that an archive's tables have for the same image; exclude the image if the rows disagree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mammogan.data.archives.base import Entry
from mammogan.data.archives.tables import UNKNOWN_CELL, Cells

CONFLICT = "table_conflict"
"""Code of the reason why an image is left out: its rows in the tables disagree."""
FIELDS_THAT_MUST_AGREE = {
    "patient": "patient",
    "study": "exam",
    "laterality": "side",
    "view": "view",
    "finding": "finding",
    "split": "split",
    "excluded": "kind of image",
}
"""The fields of an entry in which rows must agree, and their names in messages."""


def checked(row: Cells, entry: Entry) -> Entry:
    """Return the entry of a row, excluded if a cell of the row was not understood when the entry was made.

    Its finding is then unknown, and the woman's other images are left out too: the cell may have said of her what
    decides their labels.
    """
    entry = replace(entry, unread_density=row.density_fault)
    if not row.fault or entry.excluded == CONFLICT:
        return entry
    return replace(entry, finding="unknown", excluded=UNKNOWN_CELL, why_excluded=row.fault)


def merge_rows(rows: Iterable[tuple[str, Entry]]) -> dict[str, Entry]:
    """Return one entry for each key, merged from all its rows.

    If the rows of a key differ in a field of ``FIELDS_THAT_MUST_AGREE``, the entry is excluded and its finding
    becomes unknown, so that it does not affect the patient's other images. If only the density differs, it becomes
    empty (not known); if only the label source differs, it becomes "table".
    """
    entries: dict[str, Entry] = {}
    for key, entry in rows:
        entries[key] = _both(entries[key], entry) if key in entries else entry
    return entries


def _both(one: Entry, other: Entry) -> Entry:
    if one.excluded == CONFLICT:
        return one
    if differing := [
        words for field, words in FIELDS_THAT_MUST_AGREE.items() if getattr(one, field) != getattr(other, field)
    ]:
        return replace(
            one, finding="unknown", excluded=CONFLICT, why_excluded=f"rows that differ in {', '.join(differing)}"
        )
    differs = "" if one.density == other.density else "rows that differ"
    return replace(
        one,
        density="" if differs else one.density,
        unread_density=one.unread_density or other.unread_density or differs,
        label_source=one.label_source if one.label_source == other.label_source else "table",
    )
