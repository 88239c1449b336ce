"""Pool the Table 1 of all folds of a cross-validation: every patient once, and how much the folds differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mammogan.data.cohort.workspace_table import rows_by_key
from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.figure import Figure
from mammogan.evaluation.predictions import COLUMNS, Prediction
from mammogan.evaluation.report.tables import escaped, interval_text, value_text
from mammogan.evaluation.table1 import ROWS, Cases, table1
from mammogan.io import tables
from mammogan.io.atomic import write_json, write_text
from mammogan.io.provenance import made_by
from mammogan.io.shell import shell_word
from mammogan.workspace import Workspace

NOTE = (
    "Each fold's CAD and generators were trained without its test patients. Pooled shares count every patient once; a "
    "pooled AUC compares probabilities of different CADs, so look at the folds' own beside it. The intervals count "
    "the images of a patient as alike and do not hold the variation of the training, which the "
    "standard deviation of the folds shows."
)

CSV_COLUMNS = ("column", "row", "value", "low", "high", "folds_low", "folds_high", "folds_sd")
HEAD = "| | all {} folds (95% interval) | range of the folds | standard deviation |"


@dataclass(frozen=True)
class Pooled:
    """One column of Table 1 over all folds."""

    name: str
    pooled: dict[str, Figure]
    folds: list[dict[str, Figure]]

    def spread(self, row: str) -> dict[str, float | int | None]:
        """Return smallest, largest and standard deviation of the folds that have a value."""
        values = [value for fold in self.folds if (value := fold[row].value) is not None]
        if not values:
            return {"folds": 0, "low": None, "high": None, "sd": None}
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return {"folds": len(values), "low": min(values), "high": max(values), "sd": sd}


def pool_folds(workspaces: Sequence[Path], out: Path, threshold: float) -> Path:
    """Write pooled.md, pooled.csv and pooled.json into ``out`` and return the first.

    Raise MissingInput if a fold is not evaluated, and UserError if a mammogram is tested in two folds or the folds have
    other columns.
    """
    if len(workspaces) < 2:
        raise UserError(f"expected the workspaces of two or more folds, found {len(workspaces)}")
    _refuse_shared_tests(workspaces)
    by_fold = [_columns(Workspace(path)) for path in workspaces]
    _refuse_other_columns(workspaces, by_fold)
    found = []
    for column in by_fold[0]:
        folds = [fold[column] for fold in by_fold]
        figures = [table1(Cases.pair(fold), threshold) for fold in folds]
        together = Cases.pair([_of_fold(row, number) for number, fold in enumerate(folds, 1) for row in fold])
        found.append(Pooled(column, table1(together, threshold), figures))
    facts = {"folds": len(workspaces), "threshold": threshold}
    write_json(out / "pooled.json", {"schema": 1, **facts, "made_by": made_by(), "columns": [*map(_values, found)]})
    tables.write(out / "pooled.csv", CSV_COLUMNS, _rows(found))
    write_text(out / "pooled.md", _markdown(found, len(workspaces)))
    return out / "pooled.md"


def _refuse_shared_tests(workspaces: Sequence[Path]) -> None:
    """Raise UserError if one file is in the test split of two workspaces."""
    seen: dict[str, Path] = {}
    for path in workspaces:
        cohort = Workspace(path).cohort
        if not cohort.is_file():
            raise MissingInput(f"{path} is no workspace of a fold: expected {cohort}")
        for row in rows_by_key(cohort).values():
            if row.get("split") == "test" and seen.setdefault(row["path"], path) != path:
                raise UserError(
                    f"{path} and {seen[row['path']]} test the same mammograms, so they are not two folds of one "
                    "cross-validation: make them from the tables of one mammogan fold-tables"
                )


def _columns(workspace: Workspace) -> dict[str, list[Prediction]]:
    """Return the predictions of each column of a fold's report."""
    path = workspace.report / "predictions.csv"
    if not (workspace.report / "done.json").is_file() or not path.is_file():
        raise MissingInput(
            f"{workspace.root} is not evaluated; run\n  mammogan evaluate --workspace {shell_word(workspace.root)}"
        )
    found: dict[str, list[Prediction]] = {}
    for row in tables.read_own_csv(path):
        held: dict[str, Any] = {name: row[name] for name in COLUMNS} | {"probability": float(row["probability"])}
        prediction = Prediction(**held)
        found.setdefault(f"{prediction.resolution}, {prediction.objective}", []).append(prediction)
    return found


def _refuse_other_columns(workspaces: Sequence[Path], by_fold: Sequence[dict[str, list[Prediction]]]) -> None:
    for path, fold in zip(workspaces, by_fold, strict=True):
        if fold.keys() != by_fold[0].keys():
            raise UserError(
                f"{path} has the columns {'; '.join(fold)}, and {workspaces[0]} has {'; '.join(by_fold[0])}: evaluate "
                "the same resolutions and attacks in every fold"
            )


def _of_fold(row: Prediction, fold: int) -> Prediction:
    """Return a prediction whose key and patient cannot be those of another fold's pseudonyms."""
    source = f"{fold} {row.source_key}" if row.source_key else ""
    return dataclasses.replace(row, key=f"{fold} {row.key}", patient=f"{fold} {row.patient}", source_key=source)


def _values(column: Pooled) -> dict[str, Any]:
    return {
        "column": column.name,
        "pooled": {row: dataclasses.asdict(figure) for row, figure in column.pooled.items()},
        "folds": [{row: dataclasses.asdict(figure) for row, figure in fold.items()} for fold in column.folds],
        "spread": {row: column.spread(row) for row in ROWS},
    }


def _rows(found: Sequence[Pooled]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for column in found:
        for row, figure in column.pooled.items():
            spread = column.spread(row)
            of_folds = (spread[name] for name in ("low", "high", "sd"))
            rows.append((column.name, row, figure.value, figure.low, figure.high, *of_folds))
    return rows


def _markdown(found: Sequence[Pooled], folds: int) -> str:
    lines = []
    for column in found:
        lines += [f"## {escaped(column.name)}", "", HEAD.format(folds), "|---|---|---|---|"]
        for row, figure in column.pooled.items():
            spread = column.spread(row)
            low, high, sd = (_number(spread[name]) for name in ("low", "high", "sd"))
            pooled = f"{value_text(figure)}, {interval_text(figure)}" if figure.value is not None else "n/a"
            lines.append(f"| {escaped(ROWS[row])} | {pooled} | {low} to {high} | {sd} |")
        lines.append("")
    return "\n".join([*lines, NOTE]) + "\n"


def _number(value: float | int | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
