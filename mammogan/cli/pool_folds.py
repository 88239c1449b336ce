"""Pool the Table 1 of all folds of a cross-validation, and show how much the folds and the seeds differ.

    mammogan pool-folds work/fold-1 work/fold-2 work/fold-3 work/fold-4 work/fold-5 --out pooled

Every fold has to be evaluated (mammogan evaluate). pooled.md, pooled.csv and pooled.json have each row of Table 1 over
the test images of all folds together, with its interval, and beside it the range and standard deviation of the folds.
If a fold was trained with several seeds, give all its workspaces: each seed is pooled over the folds, and the table has
the mean and the range of the seeds. Workspaces that are not the folds of one cross-validation are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import tyro

from mammogan.errors import UserError
from mammogan.io.atomic import Digest, read_json
from mammogan.io.options import run
from mammogan.io.own_files import file_exists
from mammogan.study.outdated import other_options
from mammogan.workspace import Workspace


@dataclass(frozen=True)
class Options:
    workspaces: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The workspaces of all folds, one for each seed of the trainings."""
    out: Path
    """Folder for the pooled table."""
    threshold: float = 0.5
    """A mammogram whose probability of cancer is above this is called positive."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UserError(f"--threshold {self.threshold}: expected a probability between 0 and 1")


def outdated(options: Options, digest: Digest) -> str:
    """Return why the folds have to be pooled (again); empty when the pooled table is of these folds as they are."""
    try:
        pooled = read_json(options.out / "pooled.json")
    except ValueError:
        return "the record of the pooled table is damaged"
    if not isinstance(pooled, dict) or not isinstance(pooled.get("workspaces"), dict) or "threshold" not in pooled:
        return "pooled by an earlier version"
    before = {"threshold": pooled["threshold"], "workspaces": [*pooled["workspaces"]]}
    now = {"threshold": options.threshold, "workspaces": [*map(str, options.workspaces)]}
    if reason := other_options(before, now):
        return reason
    predictions = {path: Workspace(path).predictions for path in options.workspaces}
    again = [
        str(path)
        for path, file in predictions.items()
        if not file_exists(file) or pooled["workspaces"][str(path)] != digest(file)
    ]
    return f"{', '.join(again)} evaluated again" if again else ""


def execute(options: Options) -> None:
    from mammogan.evaluation.pooled_folds import pool_folds
    from mammogan.io.terminal import say

    table = pool_folds(options.workspaces, options.out, options.threshold)
    say(f"{table.read_text(encoding='utf-8')}\nwritten to {options.out}")


def main() -> NoReturn:
    run(Options, execute, __doc__)
