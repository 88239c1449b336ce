"""Pool the Table 1 of all folds of a cross-validation, and show how much the folds differ.

    mammogan pool-folds work/fold-1 work/fold-2 work/fold-3 work/fold-4 work/fold-5 --out pooled

Every fold has to be evaluated (mammogan evaluate). pooled.md, pooled.csv and pooled.json have each row of Table 1 over
the test images of all folds together, with its interval, and beside it the range and standard deviation of the folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import tyro

from mammogan.io.options import run


@dataclass(frozen=True)
class Options:
    workspaces: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Two or more workspaces, one a fold."""
    out: Path
    """Folder for the pooled table."""
    threshold: float = 0.5
    """A mammogram whose probability of cancer is above this is called positive."""


def execute(options: Options) -> None:
    from mammogan.evaluation.pooled_folds import pool_folds
    from mammogan.io.terminal import say

    table = pool_folds(options.workspaces, options.out, options.threshold)
    say(f"{table.read_text(encoding='utf-8')}\nwritten to {options.out}")


def main() -> NoReturn:
    run(Options, execute, __doc__)
