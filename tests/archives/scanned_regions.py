"""Scan a miniature that has lesion regions, convert its table, and read the regions as evaluate-deeper does."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from archives.scanning import rows_of, scanned
from mammogan.data.archives.labels import Policy
from mammogan.data.archives.regions import RegionReport
from mammogan.data.archives.selection import Selection
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.shards.reader import Sample, read_shard
from mammogan.evaluation.beyond.regions import ArchiveRegions, lesion_regions
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(160, 128)
FILMS = Selection(Policy(benign="negative"), allow_film=True)


def scan_regions(root: Path, selection: Selection = FILMS) -> tuple[RegionReport, list[dict[str, Any]]]:
    """Scan an archive to labels.csv in the folder around it: the report on regions, and the films of the file."""
    report = scanned(root, root.parent / "labels.csv", selection, overwrite=True).regions
    assert report is not None
    return report, json.loads(report.path.read_text())["films"]


def shards_of(table: Path, **options: Any) -> tuple[Workspace, list[Sample]]:
    """Convert a table whose rows all go to one split: these archives are too small to be divided."""
    rows = rows_of(table)
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, dict.fromkeys([*rows[0], "split"]))
        writer.writeheader()
        writer.writerows({**row, "split": "test"} for row in rows)
    workspace = Workspace(table.parent / "work")
    convert_cohort(table, workspace, [SIZE], jobs=1, **options)
    tars = sorted(workspace.shards(SIZE).glob("*.tar"))
    return workspace, [sample for tar in tars for sample in read_shard(tar)]


def regions_of(workspace: Workspace) -> ArchiveRegions:
    found = lesion_regions(workspace, None)
    assert isinstance(found, ArchiveRegions)
    return found
