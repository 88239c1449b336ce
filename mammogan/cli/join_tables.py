"""Join the cohort tables of several archives into one, which mammogan make-shards reads.

    mammogan join-tables rsna.csv embed.csv clinic.csv --out labels.csv
    mammogan join-tables 2023.csv 2024.csv --out labels.csv --one-numbering

Paths become absolute, so the joined table can lie anywhere. A table's name is put before its patients (clinic:100), so
that two women never become one; what mammogan scan wrote of a public archive has the archive's name there already. All
columns are kept, and so are lesion regions beside the tables. A column 'source' says where each row came from. Every
table is checked first, and every file must be there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import tyro

from mammogan.io.options import run


@dataclass(frozen=True)
class Options:
    tables: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Two or more cohort tables, as mammogan scan writes them."""
    out: Path
    """The joined table; only you can read it."""
    one_numbering: bool = False
    """The same identifier is the same woman in all tables, as in tables of one hospital: nothing is put before it."""
    overwrite: bool = False
    """Replace a table that exists."""


def execute(options: Options) -> None:
    from mammogan.data.archives.join import in_several, join_tables
    from mammogan.io.terminal import say

    parts = join_tables(options.tables, options.out, options.one_numbering, options.overwrite)
    for part in parts:
        say(part.line())
    if not options.one_numbering and (shared := in_several(parts)):
        say(
            f"note: {shared} identifier{' is' if shared == 1 else 's are'} in several tables and count as different "
            "women; if the tables are of one hospital, see --one-numbering, or one woman can be in two splits"
        )
    say(f"written to {options.out} (private)")
    say(f"Next: mammogan make-shards --cohort {options.out} --workspace work")


def main() -> NoReturn:
    run(Options, execute, __doc__)
