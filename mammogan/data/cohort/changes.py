"""Describe in words how the cohort table changed since the shards of a workspace were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mammogan.data.cohort.cohort import WORKSPACE_COLUMNS, Mammogram
from mammogan.io.tables import read_own_csv

Row = Mapping[str, str]
FIELDS = {"patient": "patient", "laterality": "side", "view": "view", "label": "label", "split": "split"}
SHOWN_KEYS = 3


def changes(held: Path, mammograms: Sequence[Mammogram]) -> str:
    """Describe how ``mammograms`` differ from ``held``, the workspace's table that ``write_cohort`` wrote.

    Rows are matched by the pseudonyms of their images, or by their paths if the pseudonyms differ. The text quotes the
    keys of a few changed rows, because the shards contain keys too; it never quotes patients or paths.
    """
    earlier = _rows(held)
    if earlier is None:
        return f"the table or the salt differs; {held.name}, which would show how, is missing or damaged"
    now = _as_rows(mammograms)
    pairs = _pairs(earlier, now)
    salted = _has_another_salt(pairs)
    differences = [
        *(["the salt differs"] if salted else []),
        *_counted(len(now) - len(pairs), "added"),
        *_counted(len(earlier) - len(pairs), "gone"),
        *_changed(pairs, salted),
    ]
    if differences:
        return ("" if salted else "in the table ") + ", ".join(differences)
    return "in the table density, study or the sources of label, side or view differ"


def has_another_salt(held: Path, mammograms: Sequence[Mammogram]) -> bool:
    """Whether ``mammograms`` are those of ``held`` under other pseudonyms; False if it cannot be told."""
    return _has_another_salt(_pairs(_rows(held) or [], _as_rows(mammograms)))


def _has_another_salt(pairs: Sequence[tuple[Row, Row]]) -> bool:
    return bool(pairs) and all(
        _image(before) != _image(row) and before["patient"] != row["patient"] for before, row in pairs
    )


def _as_rows(mammograms: Sequence[Mammogram]) -> list[Row]:
    return [{name: str(getattr(mammogram, name)) for name in WORKSPACE_COLUMNS} for mammogram in mammograms]


def _rows(held: Path) -> list[Row] | None:
    try:
        rows = read_own_csv(held)
    except (OSError, ValueError):
        return None
    is_whole = all(row.get(name) for row in rows for name in WORKSPACE_COLUMNS)
    return [*rows] if rows and is_whole else None


def _pairs(earlier: Sequence[Row], now: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Pair the earlier and the present row of each image, in the order of ``now``."""
    by_image, by_path = {_image(row): row for row in earlier}, {row["path"]: row for row in earlier}
    images = {_image(row) for row in now}
    pairs = []
    for row in now:
        before = by_image.get(_image(row)) or by_path.get(row["path"])
        if before and (_image(before) == _image(row) or _image(before) not in images):
            pairs.append((before, row))
    return pairs


def _image(row: Row) -> str:
    """Return the image part of a row's key. It depends on the salt and on the path as the table writes it."""
    return row["key"].split("-")[1]


def _counted(number: int, what: str) -> list[str]:
    return [f"{number} {'row' if number == 1 else 'rows'} {what}"] if number else []


def _changed(pairs: Iterable[tuple[Row, Row]], salted: bool) -> list[str]:
    """Say how many of the paired rows differ and in which fields; an empty list if none differs."""
    counts: Counter[str] = Counter()
    keys = []
    for before, row in pairs:
        fields = [words for name, words in FIELDS.items() if before[name] != row[name]]
        if _image(before) != _image(row):
            fields.append("path as it is written")
        if salted:  # another salt changes the pseudonyms of all patients and images
            fields = [words for words in fields if words not in ("patient", "path as it is written")]
        counts.update(fields)
        keys += [before["key"]] if fields else []
    if not keys:
        return []
    what = ", ".join(f"{words} {number}" for words, number in counts.items())
    more = ", ..." if len(keys) > SHOWN_KEYS else ""
    return [f"{_counted(len(keys), 'changed')[0]} ({what}: {', '.join(keys[:SHOWN_KEYS])}{more})"]
