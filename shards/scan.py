"""Make the cohort table of a mammogram archive as it was downloaded; shards/make_shards.py reads it.

    python shards/scan.py /data/rsna --out labels.csv
    python shards/scan.py /data/CBIS-DDSM --dataset cbis-ddsm --allow-film --benign negative --out labels.csv
    python shards/scan.py /data/csaw --tables CSAW-CC_breast_cancer_screening_data.csv --out labels.csv
    python shards/make_shards.py --cohort labels.csv --workspace work

Only DICOM headers are read. Every file that could be an image is either in labels.csv or, with a reason, in
labels.excluded.csv; both hold paths and patients and can be read by you alone. Positive is what is proven to be cancer
(where an archive has no pathology: BI-RADS 5), negative what is known to be normal. What lies between is left out, and
counted, until you choose: --benign, --recalled, --uncertain, --interval, --prior, --contralateral, --unlisted, each
exclude, negative or positive. Which archives are known, what they need and what their labels mean: docs/archives.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from mammogan.command_line import Flat, run
from mammogan.data.archives.archive import Dataset
from mammogan.data.archives.labels import Policy


@dataclass(frozen=True)
class Scan:
    root: Annotated[Path, tyro.conf.Positional]
    """Folder of the archive; all below it is looked at."""
    out: Path = Path("labels.csv")
    """The cohort table to write."""
    dataset: Dataset = "auto"
    """Which archive it is. auto: told by the columns of its tables or the names of its files. csv: a table of your own,
    with path, patient, label and whatever else is known."""
    tables: tuple[Path, ...] = ()
    """The archive's tables, where they do not lie under its folder or there are several of a kind. One with a column
    label_source is read only if it is named here: any other is taken for a scan's own output."""
    policy: Flat[Policy] = field(default_factory=Policy)
    allow_film: bool = False
    """Take digitised film; do not mix it with digital mammograms without need."""
    repeats: Literal["best", "all"] = "best"
    """Of several images of one exam, side and view: the largest and latest, or all."""
    split: Literal["own", "official"] = "own"
    """own: make_shards divides the patients. official: the archive's own training and test parts, a tenth of the
    training patients for validation."""
    seed: int = 0
    """Of the validation part that --split official takes out."""
    jobs: int = 0
    """Processes; 0 takes one for each core."""
    seconds: float = 30.0
    """Most seconds for one header."""
    overwrite: bool = False
    """Replace the table that is there."""


def main(asked: Scan) -> None:
    from mammogan.data.archives.scan import scan
    from mammogan.data.archives.selection import Selection
    from mammogan.terminal import say

    selection = Selection(asked.policy, asked.allow_film, asked.repeats, asked.split, asked.seed)
    report = scan(
        asked.root, asked.out, asked.dataset, asked.tables, selection, asked.jobs, asked.seconds, asked.overwrite
    )
    for line in report.lines():
        say(line)
    say(f"Next: python shards/make_shards.py --cohort {asked.out} --workspace work")


if __name__ == "__main__":
    run(Scan, main, __doc__)
