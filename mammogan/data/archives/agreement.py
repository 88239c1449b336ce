"""One entry for each image, however often an archive's tables list it; none that can be used where they disagree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mammogan.data.archives.archive import Entry

CONFLICT = "table_conflict"
"""Reason code of an image of which the tables say two different things."""
SAID = {
    "patient": "patient",
    "study": "exam",
    "laterality": "side",
    "view": "view",
    "finding": "finding",
    "split": "split",
    "excluded": "kind of image",
}
"""What makes an image another one or its label another label, by field of an entry, in words."""


def agreed(rows: Iterable[tuple[str, Entry]]) -> dict[str, Entry]:
    """The entries by key. Rows of one key that say the same are one.

    Where they differ, none of them is believed: the entry is left out, and its finding is unknown, so that it says
    nothing of the patient's other images. A density that differs is not known.
    """
    entries: dict[str, Entry] = {}
    for key, entry in rows:
        entries[key] = _both(entries[key], entry) if key in entries else entry
    return entries


def _both(one: Entry, other: Entry) -> Entry:
    if one.excluded == CONFLICT:
        return one
    if differing := [words for field, words in SAID.items() if getattr(one, field) != getattr(other, field)]:
        return replace(
            one, finding="unknown", excluded=CONFLICT, why_excluded=f"rows that differ in {', '.join(differing)}"
        )
    return replace(
        one,
        density=one.density if one.density == other.density else "",
        label_source=one.label_source if one.label_source == other.label_source else "table",
    )
