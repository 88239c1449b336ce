"""The miniatures by name, a scan of one in this process, and what became of each of its files."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from archives import cbis_ddsm, cmmd, csaw_cc, embed, inbreast, nlbs, omi_db, own_csv, rsna, vindr
from archives.miniature import Miniature
from mammogan.data.archives.report import ScanReport
from mammogan.data.archives.scan import scan
from mammogan.data.archives.selection import Selection

WRITERS: dict[str, Callable[[Path], Miniature]] = {
    "rsna": rsna.write,
    "csaw-cc": csaw_cc.write,
    "vindr": vindr.write,
    "cmmd": cmmd.write,
    "cbis-ddsm": cbis_ddsm.write,
    "inbreast": inbreast.write,
    "embed": embed.write,
    "omi-db": omi_db.write,
    "nlbs": nlbs.write,
    "csv": own_csv.write,
}


def scanned(root: Path, out: Path, selection: Selection | None = None, **options: object) -> ScanReport:
    return scan(root, out, selection=selection, jobs=1, seconds=None, **options)  # type: ignore[arg-type]


def rows_of(table: Path) -> list[dict[str, str]]:
    with open(table, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def outcome(root: Path, out: Path) -> dict[str, str]:
    """Label or reason of every file, by its path relative to the archive."""
    excluded = out.with_name(f"{out.stem}.excluded.csv")
    said = [(row["path"], row["label"]) for row in rows_of(out)] + [(r["path"], r["reason"]) for r in rows_of(excluded)]
    return {str((out.parent / path).relative_to(root)): word for path, word in said}
