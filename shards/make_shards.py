"""Turn DICOM mammograms into the tar shards that every later stage reads.

    python shards/make_shards.py --cohort labels.csv --workspace work
    python shards/make_shards.py --cohort labels.csv --workspace work --resolution high low 512x416
    python shards/make_shards.py --cohort labels.csv --doctor       only: can all files be decoded here?

labels.csv has one row per image: path (absolute, or relative to the table), patient, laterality (L|R), view (CC|MLO),
label (negative|positive); if you like, split (train|validation|test, in every row or in none) and density (A|B|C|D).
Without splits the patients are divided 80/10/10, each by a hash of her own, so that whoever joins later moves nobody.
Every file of the table must be there when this starts: else nothing is written, and its lines are told. Files that are
there and cannot be used are left out. After the table has grown or was corrected patients stay in their splits, but all
shards are made anew (--overwrite): the refusal says what differs.

Pixels keep 16 bits: VOI window of the header, MONOCHROME1 inverted, chest wall left, ratio kept, antialiased bicubic.
Shards carry pseudonyms only; work/cohort.csv and work/private/ tie them to your files and stay with you. A stopped run
goes on where it was, and takes in files that were left out and have been mended. A DICOM that was used and was then
replaced by another under the same name is not noticed: give --overwrite.

Nothing that a file holds ends the run: one that is damaged, hangs or crashes its decoder, or wants more memory than
there is, is left out for a reason and listed, with its path, in work/private/quarantine.csv. For an unattended night:

    python shards/make_shards.py --cohort labels.csv --workspace work --max-failures 5%

Exit code 0: every file was used; 3: some were left out, each for a reason; 2: nothing was done, or the run stopped
(too many failures, the disk full or gone), said on stderr; 130: interrupted. After 2 and 130 everything finished is
kept, and the same command goes on.
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
    """Of the split. Each patient's depends on this and her identifier alone, so that adding patients moves nobody; in
    small cohorts a few are moved, and it is said, so that no split is without positives."""
    jobs: int = 0
    """Processes. Each needs about 0.5 GB (1 GB for scans of 100 million pixels) and is given 2 GB at most. 0 takes one
    for each core, or fewer where memory is short; a number is taken as it is."""
    file_seconds: float = 120.0
    """A file that takes longer is left out, and its process killed. 0: no limit."""
    max_failures: str = ""
    """Stop when more files are left out than this: a number such as 20, or a share of all files such as 5%. Files that
    earlier runs left out count too. None given: no limit."""
    shard_images: int = 256
    """Most images in one tar."""
    voi: Literal["header", "linear_bits", "none"] = "header"
    """Grey scale. header: the file's VOI LUT or window. linear_bits: all stored bits, linearly, the brightest value
    that they can hold at 65535. none: the stored numbers as they are, without the file's rescale, 12 bits ending at
    4095, for other programs."""
    voi_index: int = 0
    """Which of a file's VOI LUTs or windows, from 0: of GE's three LUTs 1 is the normal one. Files with fewer: the
    first, with a flag."""
    fit: Literal["pad", "physical", "stretch", "crop"] = "pad"
    """pad: the whole mammogram as large as fits, ratio kept. physical: so that a pixel is as many millimetres for every
    detector. stretch: over all of the image, ratio lost. crop: the part with the breast as large as fits."""
    clean_background: bool = False
    """Make everything outside the breast background, and so take out burnt-in labels and markers. What lies over the
    breast or within about 5 mm of it stays."""
    codec: Literal["zstd", "png"] = "zstd"
    """How pixels are stored, exactly in both: zstd (.npy.zst) is read ten times as fast, png opens in any program."""
    salt_file: Path | None = None
    """Secret that makes the pseudonyms; None: private/salt in the workspace, made at first use."""
    doctor: bool = False
    """Only tell how the pixels of all files are stored and whether they can be decoded here; nothing is written. Exit
    code 0: all can; 3: some cannot."""
    overwrite: bool = False
    """Make the shards anew: after other settings, after the table has grown or was corrected, and after DICOMs were
    replaced under the same name."""


def main(asked: MakeShards) -> int:
    return examine_only(asked) if asked.doctor else make(asked)


def examine_only(asked: MakeShards) -> int:
    """Say what can be decoded, before any work."""
    from mammogan.data.doctor import examine
    from mammogan.data.table import read_table
    from mammogan.terminal import say

    diagnosis = examine([asked.cohort.parent / row.path for row in read_table(asked.cohort)])
    for line in diagnosis.lines():
        say(line)
    return 0 if diagnosis.all_decodable else SOME_LEFT_OUT


def make(asked: MakeShards) -> int:
    """Make the shards and say what became of the files."""
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
        voi_index=asked.voi_index,
        fit=asked.fit,
        clean_background=asked.clean_background,
        file_seconds=asked.file_seconds,
        max_failures=asked.max_failures,
        codec=asked.codec,
    )
    for line in report.lines():
        say(line)
    for split, labels in report.counts.items():
        if empty := " and no ".join(label for label, images in labels.items() if not images):
            say(f"{split} has no {empty} mammogram: a study needs both classes in train, validation and test")
    if all(report.counts["train"].values()):
        say(f"Next: python launch/train_cad.py --workspace {asked.workspace} --resolution {resolutions[-1]}")
    return SOME_LEFT_OUT if report.skipped else 0


if __name__ == "__main__":
    run(MakeShards, main, __doc__)
