"""Convert DICOM mammograms to the tar shards that every later stage reads.

    mammogan make-shards --cohort labels.csv --workspace work
    mammogan make-shards --cohort labels.csv --workspace work --resolution high low 512x416
    mammogan make-shards --cohort labels.csv --workspace work/fold-2 --fold 2/5     for cross-validation
    mammogan make-shards --cohort labels.csv --doctor       only check: can all files be decoded here?

labels.csv has one row per image: path (absolute, or relative to the table), patient, laterality (L|R), view (CC|MLO),
label (negative|positive); optionally split (train|validation|test, in every row or in none) and density (A|B|C|D).
Without splits the patients are divided 80/10/10, each by a hash of her own, so that adding a patient moves no other.
Folds (--fold) have equal parts instead, so patients who are added move others, and all shards are made anew.
Every file of the table must be there when this starts: else nothing is written, and the missing ones are listed. Files
that exist but cannot be used are left out. When the table has grown, the same command converts the new rows only: they
get shards of their own, and the other shards and everybody's split stay. After rows were corrected or taken away, all
shards are made anew (--overwrite): without this option the message says what differs.

Pixels keep 16 bits: VOI window of the header, MONOCHROME1 inverted, chest wall left, ratio kept, antialiased bicubic.
Shards contain pseudonyms only; work/cohort.csv and work/private/ connect them to your files and stay with you. The same
command continues a stopped run, and uses files that were left out and have been repaired. A DICOM that was used and was
then replaced by another under the same name is not noticed: give --overwrite. Lesion regions that mammogan scan has
found, in labels.regions.json, are copied to work/private/regions.json. If the table's column lesion_regions counts some
and that file is not there, or is of another table, nothing is written.

No file can end the run: one that is damaged, hangs or crashes its decoder, or needs more memory than there is, is left
out and listed, with its path and the reason, in work/private/quarantine.csv. For an unattended night:

    mammogan make-shards --cohort labels.csv --workspace work --max-failures 5%

Exit code 0: every file was used; 3: some were left out, each for a reason; 2: nothing was done, or the run stopped (too
many failures, the disk full or gone), with a message on stderr; 130: interrupted. After 2 and 130 everything that is
finished is kept, and the same command continues.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from mammogan.data.cohort.changes import changes
from mammogan.data.cohort.folds import Fold, read_cohort
from mammogan.data.cohort.pseudonyms import Pseudonyms, load_salt
from mammogan.data.conversion.additions import added_to
from mammogan.data.conversion.fold_of_shards import other_fold
from mammogan.data.conversion.plan import division, folders_of, of_cohort, pseudonymous
from mammogan.data.conversion.shard_settings import COHORT, differences, held_settings, settings_of
from mammogan.data.shards.index import ADDITIONS, INDEX, ShardIndex
from mammogan.errors import SOME_LEFT_OUT
from mammogan.io.atomic import Digest
from mammogan.io.options import run
from mammogan.io.own_files import file_exists
from mammogan.io.shell import shell_word
from mammogan.study.outdated import first_of, other_options
from mammogan.workspace import Resolution, Workspace


@dataclass(frozen=True)
class Options:
    cohort: Path
    """The table of your mammograms, a CSV file (see above)."""
    workspace: Path = Path("work")
    """Folder that holds everything that the study makes."""
    resolution: tuple[str, ...] = ("high", "low")
    """One or more of high (1728x1408), low (1024x832), HEIGHTxWIDTH (multiples of 32, at least 96)."""
    seed: int = 0
    """Seed of the split. A patient's split depends only on this and her identifier, so that adding patients moves no
    others. In small cohorts a few are moved, with a message, so that no split lacks positives."""
    fold: str = ""
    """K/N, such as 2/5: the second of five folds of a cross-validation, in which every patient is tested once. A fifth
    of the positive and of the negative patients is then in test, a tenth in validation, the rest in train; a split
    column of the table is not used."""
    fold_seed: int = 0
    """Seed of the division into folds; the same in all folds of one cross-validation."""
    jobs: int = 0
    """Number of processes. Each needs about 0.5 GB (1 GB for scans of 100 million pixels) and may use at most 2 GB. 0
    takes one for each core, or fewer where memory is short; any other number is taken as it is."""
    file_seconds: float = 120.0
    """A file that takes longer is left out, and its process killed. 0: no limit."""
    max_failures: str = ""
    """Stop when more files than this are left out: a number such as 20, or a share of all files such as 5%. Files that
    earlier runs left out count too. None given: no limit."""
    shard_images: int = 256
    """Most images in one tar."""
    voi: Literal["header", "linear_bits", "none"] = "header"
    """Grey scale. header: the file's VOI LUT or window. linear_bits: all stored bits, linearly, so that the largest
    value they can hold becomes 65535. none: the stored numbers as they are, without the file's rescale (12 bits end at
    4095), for other programs."""
    voi_index: int = 0
    """Which of a file's VOI LUTs or windows to use, counted from 0. Which one is the normal one depends on the scanner:
    look at LUTExplanation or WindowCenterWidthExplanation in a file's header. Files with fewer use their first, with a
    flag."""
    fit: Literal["pad", "physical", "stretch", "crop"] = "pad"
    """How a mammogram fits the resolution. pad: the complete mammogram as large as possible, ratio kept. physical: a
    pixel has the same size in mm for every detector. stretch: the mammogram fills the image, ratio lost. crop: the part
    with the breast as large as possible."""
    clean_background: bool = False
    """Replace everything outside the breast by background, which removes burnt-in labels and markers. What overlaps the
    breast or is within about 5 mm of it stays."""
    codec: Literal["zstd", "png"] = "zstd"
    """How pixels are stored, without loss in both: zstd (.npy.zst) is read ten times as fast, png opens in any
    program."""
    salt_file: Path | None = None
    """File with the secret that makes the pseudonyms; None: private/salt in the workspace, made at first use."""
    doctor: bool = False
    """Only report how the pixels of all files are stored and whether they can be decoded here: five files of each kind
    are tried. Nothing is written. Exit code 0: all can; 3: some cannot."""
    overwrite: bool = False
    """Make all shards again: needed after a change of settings, after rows of the table were corrected or taken away,
    and after DICOMs were replaced under the same name."""

    @property
    def of_fold(self) -> Fold | None:
        """The fold of --fold; None when it is not given."""
        return Fold.parse(self.fold, self.fold_seed) if self.fold else None


def outdated(options: Options, digest: Digest) -> str:
    """Return why existing shards are not those that are requested; empty when they are, and when they cannot be
    compared: without the table, or if they do not say how they were made."""
    workspace = Workspace(options.workspace)
    folders = [workspace.shards(Resolution.parse(size)) for size in options.resolution]
    damaged = [name for folder in folders if file_exists(folder / INDEX) for name in ShardIndex.load(folder).damaged()]
    if damaged:
        return first_of([f"{name} is gone or cut short" for name in damaged])
    if not file_exists(workspace.cohort):
        return f"{workspace.cohort.name} is gone"
    held = [held_settings(folder) for folder in folders]
    found = [settings for settings in held if settings is not None]
    salt = options.salt_file or workspace.salt
    if not (options.cohort.is_file() and file_exists(salt) and found):
        return ""
    rows = read_cohort(options.cohort, options.of_fold)
    divided, names = division(rows, options.seed, options.of_fold), Pseudonyms(load_salt(salt))
    mammograms = pseudonymous(rows, options.cohort, workspace, names, options.seed, folders_of(workspace, divided))
    settings = settings_of(of_cohort(mammograms), divided, **conversion(options))
    differing = {name: values for one in found for name, values in differences(one, settings).items()}
    if "split" in differing and (why := other_fold(*differing["split"])):
        return why
    if COHORT in differing or ADDITIONS in differing:
        return f"the table is another: {changes(workspace.cohort, mammograms)}"
    if any(added_to(one) != added_to(settings) for one in found):
        return "the table has grown"
    before, now = ({name: values[at] for name, values in differing.items()} for at in (0, 1))
    return other_options(before, now)


def conversion(options: Options) -> dict[str, Any]:
    """Return the options that decide what is in the shards, besides the table."""
    names = ("shard_images", "voi", "voi_index", "fit", "clean_background", "codec")
    return {name: getattr(options, name) for name in names}


def execute(options: Options) -> int:
    return examine_only(options) if options.doctor else make(options)


def examine_only(options: Options) -> int:
    """Report which files can be decoded, and convert nothing."""
    from mammogan.data.cohort.table import read_table
    from mammogan.data.dicom.decoding.decodability import TRIES, examine
    from mammogan.io.terminal import say

    diagnosis = examine([options.cohort.parent / row.path for row in read_table(options.cohort)], tries=TRIES)
    for line in diagnosis.lines():
        say(line)
    return 0 if diagnosis.all_decodable else SOME_LEFT_OUT


def make(options: Options) -> int:
    """Make the shards, and report what became of the files."""
    resolutions = [Resolution.parse(text) for text in options.resolution]
    from mammogan.data.conversion.convert_cohort import convert_cohort
    from mammogan.io.terminal import say

    report = convert_cohort(
        options.cohort,
        Workspace(options.workspace),
        resolutions,
        seed=options.seed,
        jobs=options.jobs,
        salt_file=options.salt_file,
        overwrite=options.overwrite,
        file_seconds=options.file_seconds,
        max_failures=options.max_failures,
        fold=options.of_fold,
        **conversion(options),
    )
    for line in report.lines():
        say(line)
    for split, labels in report.counts.items():
        if empty := " and no ".join(label for label, images in labels.items() if not images):
            say(f"{split} has no {empty} mammogram: a study needs both classes in train, validation and test")
    if all(report.counts["train"].values()):
        say(f"Next: mammogan train-cad --workspace {shell_word(options.workspace)} --resolution {resolutions[-1]}")
    return SOME_LEFT_OUT if report.skipped else 0


def main() -> NoReturn:
    run(Options, execute, __doc__)
