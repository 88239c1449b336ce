"""Divide the patients of a cohort for cross-validation: each is in the test split of exactly one fold, with all her
images."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mammogan.data.cohort.split import position
from mammogan.data.cohort.table import READ, Row, read_table
from mammogan.errors import UserError
from mammogan.io import atomic, tables

FEWEST, MOST = 2, 20


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation. Its text is how the settings of its shards record it."""

    number: int
    """Counted from 1."""
    of: int
    seed: int = 0
    """Seed of the division into folds."""

    @classmethod
    def parse(cls, text: str, seed: int = 0) -> Fold:
        """Read K/N, such as 2/5; anything else is a UserError."""
        match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
        if not match or int(match[1]) > int(match[2]):
            raise UserError(f"--fold {text}: expected K/N with 1 <= K <= N, such as 2/5, the second of five folds")
        if not FEWEST <= int(match[2]) <= MOST:
            raise UserError(f"--fold {text}: expected {FEWEST} to {MOST} folds, found {match[2]}")
        return cls(int(match[1]), int(match[2]), seed)

    @classmethod
    def recorded(cls, text: str) -> Fold | None:
        """Return the fold that the settings of shards record; None if they were divided in another way."""
        match = re.fullmatch(r"fold (\d+) of (\d+), seed (-?\d+)", text)
        return cls(*map(int, match.groups())) if match else None

    def __str__(self) -> str:
        return f"fold {self.number} of {self.of}, seed {self.seed}"


def read_cohort(table: Path, fold: Fold | None = None) -> list[Row]:
    """Read the rows of a cohort table as ``read_table`` does; with a ``fold`` they have the splits of that fold.

    Raise UserError if the table has too few patients for so many folds.
    """
    rows = read_table(table)
    if fold is None:
        return rows
    splits = fold_splits(rows, fold.of, fold.seed)[fold.number - 1]
    return [replace(row, split=splits[row.patient]) for row in rows]


def fold_splits(rows: Sequence[Row], folds: int, seed: int = 0) -> list[dict[str, str]]:
    """Return the split of every patient in each fold, divided alike among positive patients and negative ones.

    Test is one of ``folds`` parts, validation half of the next part, train the rest. Raise UserError if there are too
    few patients for that.
    """
    if not FEWEST <= folds <= MOST:
        raise UserError(f"--folds {folds}: expected {FEWEST} to {MOST}")
    positive = {row.patient for row in rows if row.label == "positive"}
    strata = {"positive": positive, "negative": {row.patient for row in rows} - positive}
    few = {label: len(patients) for label, patients in strata.items() if len(patients) < 2 * folds}
    if few:
        found = " and ".join(f"{count} {label}" for label, count in few.items())
        most = min(map(len, strata.values())) // 2
        advice = f"give fewer folds, at most {most}" if most >= FEWEST else "add patients"
        raise UserError(
            f"{folds} folds need at least {2 * folds} positive and {2 * folds} negative patients, found {found}: "
            f"{advice}"
        )
    found_splits: list[dict[str, str]] = [{} for _ in range(folds)]
    for patients in strata.values():
        order = sorted(patients, key=lambda patient: (position(seed, patient), patient))
        ends = [round(part * len(order) / folds) for part in range(folds + 1)]
        parts = [order[start:end] for start, end in itertools.pairwise(ends)]
        for fold, splits in enumerate(found_splits):
            following = parts[(fold + 1) % folds]
            splits |= dict.fromkeys(order, "train")
            splits |= dict.fromkeys(following[: (len(following) + 1) // 2], "validation")
            splits |= dict.fromkeys(parts[fold], "test")
    return found_splits


def write_fold_tables(table: Path, out: Path, folds: int, seed: int = 0, overwrite: bool = False) -> list[Path]:
    """Write ``folds`` copies of a cohort table, fold-1.csv and so on, mode 600, each with another split column.

    Paths become absolute. Raise TableError if the table has faults, UserError if a table is there already.
    """
    rows = read_table(table)
    splits = fold_splits(rows, folds, seed)
    paths = [out / f"fold-{number}.csv" for number in range(1, folds + 1)]
    if (there := [path for path in paths if path.exists()]) and not overwrite:
        raise UserError(f"{there[0]} is there already; give another --out, or --overwrite")
    header, *lines = tables.read_lines(table, tables.WHOLE)
    names = [name.strip().lower() if name.strip().lower() in READ else name.strip() for name in header.cells]
    records = [tables.row_of(names, line) for line in lines]
    columns = [name for name in dict.fromkeys(names) if name not in ("", "split")]
    for path, by_patient in zip(paths, splits, strict=True):
        held = [
            record | {"path": str(row.file.absolute()), "split": by_patient[row.patient]}
            for row, record in zip(rows, records, strict=True)
        ]
        cells = [[record[name] for name in (*columns, "split")] for record in held]
        tables.write(path, [*columns, "split"], cells, atomic.PRIVATE)
    return paths
