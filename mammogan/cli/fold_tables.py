"""Divide a cohort for cross-validation: one table a fold, in which every patient is tested once.

    mammogan fold-tables --cohort labels.csv --out folds
    mammogan study --cohort folds/fold-1.csv --workspace work/fold-1        and so on, for every fold
    mammogan pool-folds work/fold-1 work/fold-2 work/fold-3 work/fold-4 work/fold-5 --out pooled

mammogan cross-validate does all of this, for several seeds too. Patients are divided, never images, and positive
patients and negative ones each by themselves. Of five folds each has a fifth of the patients in test, a tenth in
validation and the rest in train; a split column of the table is replaced. Lesion regions beside the table are copied
beside each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mammogan.io.options import run


@dataclass(frozen=True)
class Options:
    cohort: Path
    """The cohort table, as for mammogan make-shards."""
    out: Path
    """Folder for the tables of the folds; only you can read them."""
    folds: int = 5
    """Number of folds."""
    seed: int = 0
    """Seed of the division."""
    overwrite: bool = False
    """Replace tables that exist."""


def execute(options: Options) -> None:
    from mammogan.data.cohort.folds import write_fold_tables
    from mammogan.data.regions.region_file import pass_on, read_beside
    from mammogan.io.shell import shell_word
    from mammogan.io.terminal import say

    read_beside(options.cohort)  # raises if its lesion regions are lost or damaged, before anything is written
    paths = write_fold_tables(options.cohort, options.out, options.folds, options.seed, options.overwrite)
    for path in paths:
        pass_on([options.cohort], path)
    say(f"{len(paths)} tables in {options.out} (private). Next, for every fold:")
    for path in paths:
        say(f"  mammogan study --cohort {shell_word(path)} --workspace {shell_word(Path('work') / path.stem)}")


def main() -> NoReturn:
    run(Options, execute, __doc__)
