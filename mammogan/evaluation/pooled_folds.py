"""Pool the Table 1 of all folds of a cross-validation: every patient once for each seed, and how much folds and seeds
differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mammogan.data.cohort.workspace_table import rows_by_key
from mammogan.data.shards.index import ShardIndex
from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.fold_workspaces import by_seed
from mammogan.evaluation.predictions import DONE, PREDICTIONS_SHA256, Prediction, read_predictions
from mammogan.evaluation.report.tables import escaped, interval_text, value_text
from mammogan.evaluation.table1 import ROWS, Cases, table1
from mammogan.io import tables
from mammogan.io.atomic import sha256, write_json, write_text
from mammogan.io.own_files import file_exists
from mammogan.io.provenance import made_by
from mammogan.io.records import read_record
from mammogan.io.shell import shell_word
from mammogan.io.terminal import say
from mammogan.statistics.figure import Figure
from mammogan.workspace import Resolution, Workspace

NOTE = (
    "Each fold's CAD and generators were trained without its test patients. Pooled shares count every patient once; a "
    "pooled AUC compares probabilities of different CADs, so look at the folds' own beside it. The intervals count "
    "the images of a patient as alike and do not hold the variation of the training, which the "
    "standard deviation of the folds shows."
)
NOTE_OF_SEEDS = (
    "Each seed's trainings are pooled over all folds; the mean and the range are those of the seeds' pooled figures. A "
    "fold's figure is the mean of its seeds, so the range and the standard deviation of the folds show how much the "
    "tested patients matter, and the range of the seeds how much chance in the training does."
)

SCHEMA = 2
"""Version of pooled.json. Version 1 had no seeds."""
RECORD = "pooled.json"
CSV_COLUMNS = (
    *("column", "row", "seed", "value", "low", "high"),
    *("seeds_low", "seeds_high", "folds_low", "folds_high", "folds_sd"),
)
MEAN = "mean"
"""Stands in the column seed of pooled.csv for the mean of several seeds."""
HEAD = "| | all {} folds (95% interval) | range of the folds | standard deviation |"
HEAD_OF_SEEDS = (
    "| | mean of {} seeds, each over all {} folds | range of the seeds | range of the folds | standard deviation of "
    "the folds |"
)


@dataclass(frozen=True)
class OfSeed:
    """One column of Table 1 over all folds, with the trainings of one seed."""

    pooled: dict[str, Figure]
    folds: list[dict[str, Figure]]


@dataclass(frozen=True)
class Pooled:
    """One column of Table 1 over all folds and seeds."""

    name: str
    seeds: dict[str, OfSeed]

    def mean(self, row: str) -> float | None:
        """Return the mean of the seeds' pooled figures; None if no seed has a value."""
        return _mean([found.pooled[row].value for found in self.seeds.values()])

    def seed_spread(self, row: str) -> Spread:
        """Return how much the seeds' pooled figures differ."""
        return Spread.of([found.pooled[row].value for found in self.seeds.values()])

    def fold_spread(self, row: str) -> Spread:
        """Return how much the folds differ; the figure of a fold is the mean of its seeds."""
        by_fold = zip(*(found.folds for found in self.seeds.values()), strict=True)
        return Spread.of([_mean([fold[row].value for fold in seeds]) for seeds in by_fold])


@dataclass(frozen=True)
class Spread:
    """Number, smallest, largest and standard deviation of the values that are known; None without enough of them."""

    known: int
    low: float | None
    high: float | None
    sd: float | None

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread:
        known = [value for value in values if value is not None]
        sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
        return cls(len(known), min(known, default=None), max(known, default=None), sd)


def pool_folds(workspaces: Sequence[Path], out: Path, threshold: float) -> Path:
    """Write pooled.md, pooled.csv and pooled.json into ``out`` and return the first.

    For each seed of the trainings the folds are pooled. Raise MissingInput if a fold is not evaluated, and UserError if
    the workspaces are not the folds of one cross-validation (``by_seed``) or have other columns.
    """
    grouped = by_seed(workspaces)
    columns = {found.path: _columns(Workspace(found.path)) for folds in grouped.values() for found in folds}
    _refuse_other_columns(columns)
    found = []
    for column in next(iter(columns.values())):
        seeds = {}
        for name, members in grouped.items():
            folds = [columns[member.path][column] for member in members]
            figures = [table1(Cases.pair(fold), threshold) for fold in folds]
            together = Cases.pair([_of_fold(row, number) for number, fold in enumerate(folds, 1) for row in fold])
            seeds[name] = OfSeed(table1(together, threshold), figures)
        found.append(Pooled(column, seeds))
    folds_of_seed = next(iter(grouped.values()))
    facts = {
        "folds": len(folds_of_seed),
        "seeds": [*grouped],
        "threshold": threshold,
        "workspaces": {str(path): sha256(Workspace(path).predictions) for path in workspaces},
    }
    write_json(out / RECORD, {"schema": SCHEMA, **facts, "made_by": made_by(), "columns": [*map(_values, found)]})
    tables.write(out / "pooled.csv", CSV_COLUMNS, _rows(found))
    write_text(out / "pooled.md", _markdown(found, len(folds_of_seed), [*grouped]))
    return out / "pooled.md"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _columns(workspace: Workspace) -> dict[str, list[Prediction]]:
    """Return the predictions of each column of a fold's report."""
    path = workspace.predictions
    if not file_exists(workspace.report / "done.json") or not file_exists(path):
        raise MissingInput(
            f"{workspace.root} is not evaluated; run\n  mammogan evaluate --workspace {shell_word(workspace.root)}"
        )
    found: dict[str, list[Prediction]] = {}
    again = f"Run\n  mammogan evaluate --workspace {shell_word(workspace.root)}"
    labels = {key: row["label"] for key, row in rows_by_key(workspace.cohort).items() if row["split"] == "test"}
    for prediction in read_predictions(path):
        if prediction.kind == "original" and labels.get(prediction.key) != prediction.label:
            raise UserError(
                f"{path} is of another workspace: {prediction.key} is not in the test split of "
                f"{workspace.cohort}, or has another label there. {again}"
            )
        found.setdefault(f"{prediction.resolution}, {prediction.objective}", []).append(prediction)
    for column, own in found.items():
        originals = {prediction.key for prediction in own if prediction.kind == "original"}
        if lacking := _tested(workspace, Resolution.parse(own[0].resolution)) - originals:
            raise UserError(f"{path} lacks {len(lacking)} test mammograms ({column}). {again}")
    if not found:
        raise UserError(f"{path} is empty. {again}")
    _refuse_changed(workspace, again)
    return found


def _refuse_changed(workspace: Workspace, again: str) -> None:
    """Raise UserError if the predictions are not those that the record of the report names by their sha256."""
    done = workspace.report / "done.json"
    recorded = read_record(done, DONE).get(PREDICTIONS_SHA256)
    if recorded is None:
        say(
            f"note: {workspace.root}: its report is of an earlier version, which did not record the sha256 of "
            "predictions.csv, so it cannot be seen whether that was changed"
        )
    elif recorded != sha256(workspace.predictions):
        raise UserError(
            f"{workspace.predictions} was changed after it was written: its sha256 is not the one in {done}. {again}"
        )


def _tested(workspace: Workspace, size: Resolution) -> set[str]:
    """Return the keys of the test split's mammograms; empty if the shards are gone, so that nothing can be said."""
    folder = workspace.shards(size)
    if not file_exists(folder / "index.json"):
        return set()
    return {sample.key for shard in ShardIndex.load(folder).of_split("test") for sample in shard.samples}


def _refuse_other_columns(columns: Mapping[Path, Mapping[str, object]]) -> None:
    first = next(iter(columns))
    for path, found in columns.items():
        if found.keys() != columns[first].keys():
            raise UserError(
                f"{path} has the columns {'; '.join(found)}, and {first} has {'; '.join(columns[first])}: evaluate "
                "the same resolutions and attacks in every fold"
            )


def _of_fold(row: Prediction, fold: int) -> Prediction:
    """Return a prediction whose key and patient cannot be those of another fold's pseudonyms."""
    source = f"{fold} {row.source_key}" if row.source_key else ""
    return dataclasses.replace(row, key=f"{fold} {row.key}", patient=f"{fold} {row.patient}", source_key=source)


def _values(column: Pooled) -> dict[str, Any]:
    return {
        "column": column.name,
        "seeds": [
            {"seed": seed, "pooled": _plain(found.pooled), "folds": [_plain(fold) for fold in found.folds]}
            for seed, found in column.seeds.items()
        ],
        "mean": {row: column.mean(row) for row in ROWS},
        "seed_spread": {row: dataclasses.asdict(column.seed_spread(row)) for row in ROWS},
        "fold_spread": {row: dataclasses.asdict(column.fold_spread(row)) for row in ROWS},
    }


def _plain(table: Mapping[str, Figure]) -> dict[str, Any]:
    return {row: dataclasses.asdict(figure) for row, figure in table.items()}


def _rows(found: Sequence[Pooled]) -> list[tuple[object, ...]]:
    """Return the lines of pooled.csv: of each seed, and of the mean where there are several."""
    rows: list[tuple[object, ...]] = []
    for column in found:
        for row in ROWS:
            for seed, of_seed in column.seeds.items():
                figure = of_seed.pooled[row]
                folds = Spread.of([fold[row].value for fold in of_seed.folds])
                own = (figure.value, figure.low, figure.high, None, None, folds.low, folds.high, folds.sd)
                rows.append((column.name, row, seed, *own))
            if len(column.seeds) > 1:
                seeds, folds = column.seed_spread(row), column.fold_spread(row)
                spreads = (seeds.low, seeds.high, folds.low, folds.high, folds.sd)
                rows.append((column.name, row, MEAN, column.mean(row), None, None, *spreads))
    return rows


def _markdown(found: Sequence[Pooled], folds: int, seeds: Sequence[str]) -> str:
    lines = [f"Cross-validation with {_count(folds, 'fold')} and {_seeds_in_words(seeds)}.", ""]
    table = _over_seeds if len(seeds) > 1 else _over_folds
    for column in found:
        lines += [f"## {escaped(column.name)}", "", *table(column, folds), ""]
    return "\n".join([*lines, *([NOTE_OF_SEEDS, ""] if len(seeds) > 1 else []), NOTE]) + "\n"


def _over_folds(column: Pooled, folds: int) -> list[str]:
    """Return the table of a single seed."""
    [of_seed] = column.seeds.values()
    lines = [HEAD.format(folds), "|---|---|---|---|"]
    for row, figure in of_seed.pooled.items():
        spread = column.fold_spread(row)
        lines.append(f"| {escaped(ROWS[row])} | {_with_interval(figure)} | {_range(spread)} | {_number(spread.sd)} |")
    return lines


def _over_seeds(column: Pooled, folds: int) -> list[str]:
    """Return the table of several seeds: their mean, and then each seed's own pooled figures."""
    lines = [HEAD_OF_SEEDS.format(len(column.seeds), folds), "|---|---|---|---|---|"]
    for row, title in ROWS.items():
        of_seeds, of_folds = column.seed_spread(row), column.fold_spread(row)
        some = f" ({of_seeds.known} of {len(column.seeds)} seeds)" if 0 < of_seeds.known < len(column.seeds) else ""
        cells = (_number(column.mean(row)) + some, _range(of_seeds), _range(of_folds), _number(of_folds.sd))
        lines.append(f"| {escaped(title)} | {' | '.join(cells)} |")
    heads = [f"seed {seed or 'unknown'} (95% interval)" for seed in column.seeds]
    lines += ["", f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for row, title in ROWS.items():
        pooled = [_with_interval(of_seed.pooled[row]) for of_seed in column.seeds.values()]
        lines.append(f"| {escaped(title)} | {' | '.join(pooled)} |")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _seeds_in_words(seeds: Sequence[str]) -> str:
    known = ", ".join(filter(None, seeds))
    return f"{_count(len(seeds), 'seed')} of the trainings" + (f" ({known})" if known else "")


def _with_interval(figure: Figure) -> str:
    return f"{value_text(figure)}, {interval_text(figure)}" if figure.value is not None else "n/a"


def _range(spread: Spread) -> str:
    return f"{_number(spread.low)} to {_number(spread.high)}"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
