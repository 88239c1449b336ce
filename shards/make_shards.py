"""Turn DICOM mammograms into the tar shards that every later stage reads.

    python shards/make_shards.py --cohort labels.csv --workspace work
    python shards/make_shards.py --cohort labels.csv --workspace work --resolution high low 512x416

labels.csv has one row per image: path (absolute, or relative to the table), patient, laterality (L|R), view (CC|MLO),
label (negative|positive); if you like, split (train|validation|test, in every row) and density (A|B|C|D). Without a
split column patients are divided 80/10/10, positive and negative ones apart.

Pixels keep 16 bits: VOI window of the header, MONOCHROME1 inverted, chest wall left, ratio kept, antialiased bicubic.
Shards carry pseudonyms only; work/cohort.csv and work/private/ tie them to your files and stay with you. A stopped run
goes on where it was, and takes in files that were left out and have been mended. A DICOM that was used and was then
replaced by another under the same name is not noticed: give --overwrite. Exit code 0: every file was used; 3: some were
left out, each for a reason; 2: nothing was done.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mammogan.command_line import run
from mammogan.config import Resolution, Workspace

SOME_LEFT_OUT = 3


@dataclass(frozen=True)
class MakeShards:
    cohort: Path
    """The table of your mammograms, a CSV file."""
    workspace: Path = Path("work")
    """Folder that holds everything this study makes."""
    resolution: tuple[str, ...] = ("high", "low")
    """One or more of high (1728x1408), low (1024x832), HEIGHTxWIDTH (multiples of 32, at least 96)."""
    seed: int = 0
    """Of the split. The same patients, labels and seed give the same split, in whatever order the rows are."""
    jobs: int = 0
    """Processes, each of about 0.5 GB; 0 takes one for each core."""
    shard_images: int = 256
    """Most images in one tar."""
    voi: Literal["header", "bits"] = "header"
    """Grey scale. header: the file's first VOI LUT or window. bits: all stored bits, linearly."""
    salt_file: Path | None = None
    """Secret that makes the pseudonyms; None: private/salt in the workspace, made at first use."""
    overwrite: bool = False
    """Make the shards anew: after other settings, and after DICOMs were replaced under the same name."""


def main(asked: MakeShards) -> int:
    resolutions = [Resolution.parse(text) for text in asked.resolution]
    from mammogan.data.shards import write_shards
    from mammogan.terminal import say

    report = write_shards(
        asked.cohort,
        Workspace(asked.workspace),
        resolutions,
        seed=asked.seed,
        jobs=asked.jobs,
        shard_images=asked.shard_images,
        salt_file=asked.salt_file,
        overwrite=asked.overwrite,
        voi=asked.voi,
    )
    for line in report.lines():
        say(line)
    trainable = all(report.counts["train"].values())
    say(
        f"Next: python {'launch/train_cad.py' if trainable else 'shards/check_shards.py'} --workspace {asked.workspace}"
    )
    return SOME_LEFT_OUT if report.skipped else 0


if __name__ == "__main__":
    run(MakeShards, main, __doc__)
