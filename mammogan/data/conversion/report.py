"""Report the result of a conversion: how many files it read, how many are used, and why the others are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.data.cohort.cohort import Mammogram
from mammogan.data.conversion.convert_image import Skipped
from mammogan.data.conversion.shard_folder import ShardFolder
from mammogan.data.dicom.flags import FLAGS
from mammogan.data.dicom.flags import MEANING as FLAG_MEANING
from mammogan.data.dicom.reasons import explained
from mammogan.io import atomic, tables
from mammogan.workspace import LABELS, SPLITS, Workspace

COLUMNS = ("line", "key", "reason", "path", "detail")
LONGEST_DETAIL = 500
"""Longest detail in characters: it may quote a header value of any length, and csv reads no cell beyond 131072."""


@dataclass(frozen=True)
class ConversionReport:
    """The result of a conversion; a file counts as used only if it is used at every requested resolution.

    ``counts`` (images) and ``patients`` are by split and label, ``skipped`` by reason code, ``flagged`` (used files) by
    flag.
    """

    files: int
    used: int
    skipped: dict[str, int]
    flagged: dict[str, int]
    counts: dict[str, dict[str, int]]
    patients: dict[str, dict[str, int]]
    folders: tuple[Path, ...]
    converted_now: int
    quarantine: Path
    """Path of the private list: line, path and full reason of every file left out."""
    warnings: tuple[str, ...] = ()
    """Sentences on what may be wrong with the cohort; they name pseudonyms only."""

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report that the user sees."""
        earlier = self.files - self.converted_now
        dealt_with = f" (an earlier run processed {earlier} of the files)" if earlier else ""
        yield f"{self.files} files in, {self.used} used{dealt_with}"
        yield from why_left_out(self.skipped, self.quarantine)
        for flag in FLAGS:
            if number := self.flagged.get(flag):
                yield f"  {number} used with a flag: {flag}, {FLAG_MEANING[flag]}"
        yield "split       label      images  patients"
        for split in SPLITS:
            for label in LABELS:
                yield f"{split:<11} {label:<9} {self.counts[split][label]:7d} {self.patients[split][label]:9d}"
        yield from (f"WARNING: {warning}" for warning in self.warnings)
        yield "shards in " + ", ".join(str(folder) for folder in self.folders)


def why_left_out(by_reason: Mapping[str, int], quarantine: Path) -> Iterator[str]:
    """Yield one line per reason, then the path of the list; nothing when every file was used."""
    for code, number in sorted(by_reason.items()):
        yield f"  {number} left out: {code}, {explained(code)}"
    if by_reason:
        yield f"  which ones, with the full reason (private): {quarantine}"
        yield "  repaired files are added when you run the same command again"


def report_on(
    folders: Sequence[ShardFolder], mammograms: Sequence[Mammogram], converted_now: int, quarantine: Path
) -> ConversionReport:
    """Make the report from the finished shards."""
    keys = set.intersection(*({*folder.sources().values()} for folder in folders))
    used = [row for row in mammograms if row.key in keys]
    flagged = [(key, flag) for folder in folders for key, found in folder.flags().items() for flag in found]
    cells = {(split, label): [m for m in used if (m.split, m.label) == (split, label)] for split, label in _cells()}
    return ConversionReport(
        files=len(mammograms),
        used=len(used),
        skipped=dict(count_reasons(folders)),
        flagged=dict(Counter(flag for key, flag in set(flagged) if key in keys)),
        counts={split: {label: len(cells[split, label]) for label in LABELS} for split in SPLITS},
        patients={
            split: {label: len({m.patient for m in cells[split, label]}) for label in LABELS} for split in SPLITS
        },
        folders=tuple(folder.path for folder in folders),
        converted_now=converted_now,
        quarantine=quarantine,
    )


def _cells() -> list[tuple[str, str]]:
    return [(split, label) for split in SPLITS for label in LABELS]


def left_out(folders: Sequence[ShardFolder]) -> list[dict[str, Any]]:
    """List the rows without a sample at one or more resolutions, each once, in the table's order.

    The resolutions can differ: a file lost between two conversions is left out only by the later one.
    """
    rows = {row["key"]: row for folder in folders for row in folder.excluded()}
    return sorted(rows.values(), key=lambda row: row["line"])


def count_reasons(folders: Sequence[ShardFolder]) -> Counter[str]:
    """Count the rows that finished shards leave out, by reason code."""
    return Counter(row["reason"] for row in left_out(folders))


def write_quarantine(
    workspace: Workspace,
    folders: Sequence[ShardFolder],
    mammograms: Sequence[Mammogram],
    reasons: Mapping[str, Skipped],
) -> Path:
    """Write the private list of files left out, and return its path.

    It lists the rows that finished shards leave out and those in this run's ``reasons`` (by key). Details of earlier
    runs are kept for shards that were not made again.
    """
    path = workspace.salt.parent / "quarantine.csv"
    details = _earlier_details(path) | {key: reason.detail for key, reason in reasons.items()}
    codes = {key: reason.code for key, reason in reasons.items()}
    codes |= {row["key"]: row["reason"] for row in left_out(folders)}
    rows = (
        (str(row.line), row.key, codes[row.key], str(row.path), details.get(row.key, "")[:LONGEST_DETAIL])
        for row in sorted(mammograms, key=lambda row: row.line)
        if row.key in codes
    )
    tables.write(path, COLUMNS, rows, atomic.PRIVATE)
    return path


def _earlier_details(path: Path) -> dict[str, str]:
    """Read the details in the list of an earlier run, by key.

    Empty when the list is missing or damaged; the new list then has only the reasons.
    """
    try:
        return {row["key"]: row["detail"] for row in tables.read_own_csv(path)}
    except (FileNotFoundError, ValueError, KeyError):
        return {}
