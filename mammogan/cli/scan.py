"""Make the cohort table of a mammogram archive as it was downloaded; mammogan make-shards reads this table.

    mammogan scan /data/rsna --out labels.csv
    mammogan scan /data/CBIS-DDSM --dataset cbis-ddsm --allow-film --benign negative --out labels.csv
    mammogan scan /data/csaw --tables CSAW-CC_breast_cancer_screening_data.csv --out labels.csv
    mammogan make-shards --cohort labels.csv --workspace work

Only DICOM headers are read, and lesion masks. Every file that could be an image is listed in labels.csv or, with a
reason, in labels.excluded.csv; both hold paths and patients, and only you can read them. Where lesions are in the films
of VinDr-Mammo, CBIS-DDSM and INbreast is written to labels.regions.json, which make-shards takes along: keep it beside
the table, and under its name.

Positive is what is proven to be cancer (where an archive has no pathology: BI-RADS 5), negative what is known to be
normal. Everything between is left out and counted until you decide: --benign, --recalled, --uncertain, --interval,
--prior, --contralateral, --unlisted, each with exclude, negative or positive. docs/archives.md has the known archives,
what they need and what their labels mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import tyro

from mammogan.data.archives.base import Dataset
from mammogan.data.archives.labels import Policy
from mammogan.io.options import Flat, run
from mammogan.io.shell import shell_word


@dataclass(frozen=True)
class Options:
    root: Annotated[Path, tyro.conf.Positional]
    """Folder of the archive; everything below it is searched."""
    out: Path = Path("labels.csv")
    """The cohort table to write."""
    dataset: Dataset = "auto"
    """Which archive it is. auto: recognised by the columns of its tables or the names of its files. csv: your own
    table, with path, patient, label and anything else that is known."""
    tables: tuple[Path, ...] = ()
    """The archive's tables, if they are not in its folder or there are several of a kind. A table with a column
    label_source is read only if it is named here: any other is taken for the output of an earlier scan."""
    policy: Flat[Policy] = field(default_factory=Policy)
    allow_film: bool = False
    """Use digitised film; do not mix it with digital mammograms without need."""
    repeats: Literal["best", "all"] = "best"
    """Of several images of one exam, side and view, use best (the largest and latest) or all."""
    split: Literal["own", "official"] = "own"
    """own: mammogan make-shards divides the patients. official: the archive's own training and test parts, with a tenth
    of the training patients for validation."""
    seed: int = 0
    """Seed of the validation part that --split official separates."""
    jobs: int = 0
    """Number of processes; 0 takes one for each core."""
    seconds: float = 30.0
    """Most seconds for reading one header or mask."""
    overwrite: bool = False
    """Replace a table that exists."""


def execute(options: Options) -> None:
    from mammogan.data.archives.scan import scan
    from mammogan.data.archives.selection import Selection
    from mammogan.io.terminal import say

    selection = Selection(options.policy, options.allow_film, options.repeats, options.split, options.seed)
    report = scan(
        options.root,
        options.out,
        options.dataset,
        options.tables,
        selection,
        options.jobs,
        options.seconds,
        options.overwrite,
    )
    for line in report.lines():
        say(line)
    say(f"Next: mammogan make-shards --cohort {shell_word(options.out)} --workspace work")


def main() -> NoReturn:
    run(Options, execute, __doc__)
