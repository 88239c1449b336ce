"""Convert the cohort table to tar shards: plan them, convert in several processes, resume, and report.

One shard holds mammograms of one split and one label, in the table's order. The shards are planned beforehand, so that
their bytes depend only on the table and the settings, not on the number of processes or on interruptions.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mammogan.data.cohort.breasts_apart import Shown
from mammogan.data.cohort.changes import changes, has_another_salt
from mammogan.data.cohort.cohort import Mammogram, write_cohort
from mammogan.data.cohort.folds import Fold, read_cohort
from mammogan.data.cohort.one_woman import one_woman_warnings
from mammogan.data.cohort.pseudonyms import Pseudonyms, load_salt
from mammogan.data.cohort.shared_studies import shared_study_warnings
from mammogan.data.conversion.additions import added_to, is_earlier, line_on
from mammogan.data.conversion.convert_image import Task
from mammogan.data.conversion.failure_limit import Failures, TooMany, most_failures
from mammogan.data.conversion.fold_of_shards import refuse_other_fold
from mammogan.data.conversion.limits import RESUME_HINT, Running, writing_into
from mammogan.data.conversion.plan import (
    Plan,
    describe_additions,
    division,
    folders_of,
    of_cohort,
    plan_shards,
    pseudonymous,
)
from mammogan.data.conversion.report import ConversionReport, count_reasons, report_on, why_left_out, write_quarantine
from mammogan.data.conversion.same_pixels import SamePixels
from mammogan.data.conversion.shard_folder import ShardFolder
from mammogan.data.conversion.shard_settings import COHORT, all_held_settings, settings_of
from mammogan.data.conversion.write_shards import Reasons, fill
from mammogan.data.dicom.decoding.decodability import examine
from mammogan.data.dicom.fit import Fit
from mammogan.data.dicom.read import Reading, Voi
from mammogan.data.inspect.same_women import same_women
from mammogan.data.inspect.verify import verify
from mammogan.data.regions.region_file import carry
from mammogan.data.shards.codec import Codec
from mammogan.data.shards.index import IndexedSample, IndexedShard, ShardIndex
from mammogan.errors import UserError
from mammogan.io import terminal
from mammogan.io.own_files import file_exists
from mammogan.io.private import make_private_folder, open_lock
from mammogan.workspace import Resolution, Workspace

__all__ = ["ConversionReport", "IndexedSample", "IndexedShard", "ShardIndex", "convert_cohort", "verify"]


def convert_cohort(
    cohort_csv: Path,
    workspace: Workspace,
    resolutions: Sequence[Resolution],
    seed: int = 0,
    jobs: int = 0,
    shard_images: int = 256,
    salt_file: Path | None = None,
    overwrite: bool = False,
    voi: Voi = "header",
    voi_index: int = 0,
    fit: Fit = "pad",
    clean_background: bool = False,
    file_seconds: float = 0,
    max_failures: str = "",
    codec: Codec = "zstd",
    fold: Fold | None = None,
) -> ConversionReport:
    """Make the shards of a cohort, or resume making them. ``jobs``, ``file_seconds``, ``max_failures``: see Running.

    With a ``fold`` the patients are divided as in this fold of a cross-validation; the workspace's own table has its
    splits.

    A file that cannot be used is left out, counted and listed. Raises UserError before any shard is touched: for a
    table with faults (all reported at once), and for folders with shards of other settings. Raises UserError later when
    too many files are left out, and when the disk is full or gone: finished shards are complete and are kept.
    """
    if voi_index < 0:
        raise UserError(f"--voi-index {voi_index}: expected 0, the first, or more")
    if shard_images < 1:
        raise UserError(f"--shard-images {shard_images}: expected at least 1 image")
    running = Running(jobs, file_seconds, max_failures)
    rows = read_cohort(cohort_csv, fold)
    with writing_into(workspace.root), _alone_in(workspace):
        names = Pseudonyms(load_salt(salt_file or workspace.salt))
        divided = division(rows, seed, fold)
        if not overwrite:
            refuse_other_fold(workspace, divided)
        made = {workspace.shards(resolution) for resolution in resolutions}
        growing = [folder for folder in folders_of(workspace, divided) if not (overwrite and folder in made)]
        mammograms = pseudonymous(rows, cohort_csv, workspace, names, seed, growing)
        plan = plan_shards(mammograms, shard_images)
        settings = settings_of(
            of_cohort(mammograms),
            divided,
            shard_images=shard_images,
            voi=voi,
            voi_index=voi_index,
            fit=fit,
            clean_background=clean_background,
            codec=codec,
        )
        folders = [ShardFolder(workspace.shards(r), r, settings) for r in sorted(set(resolutions), reverse=True)]
        _refuse_other_settings(workspace, folders, overwrite, lambda: changes(workspace.cohort, mammograms))
        _refuse_another_salt(workspace, salt_file or workspace.salt, mammograms)
        _carry_regions(cohort_csv, mammograms, workspace)
        for folder in folders:
            folder.claim(plan, overwrite)
        _say_what_was_added(folders, mammograms)
        write_cohort(workspace.cohort, mammograms)
        reading = Reading(voi, voi_index, clean_background)

        def remaining() -> list[Task]:
            return _tasks(folders, plan, lambda row, sizes: Task(row, sizes, names, reading, fit, codec))

        report = _convert_all(workspace, folders, plan, remaining, running)
    shown = [Shown(row.line, row.patient, row.laterality, row.view) for row in rows]
    studies = shared_study_warnings((row.patient, row.study or "") for row in rows)
    return replace(report, warnings=(*one_woman_warnings(shown), *studies, *report.warnings))


@contextmanager
def _alone_in(workspace: Workspace) -> Iterator[None]:
    """Lock the workspace, so that no second conversion writes into it; the lock ends with the process."""
    private = workspace.salt.parent
    make_private_folder(private)
    lock = open_lock(private / "lock")
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{workspace.root}: another mammogan make-shards is writing here; wait until it ends"
            ) from None
        yield
    finally:
        os.close(lock)


def _refuse_other_settings(
    workspace: Workspace, folders: Sequence[ShardFolder], overwrite: bool, changed: Callable[[], str]
) -> None:
    if not overwrite:
        for folder in folders:
            folder.check(changed)
    ours = {folder.path for folder in folders}
    for other, held in all_held_settings(workspace).items():
        if other not in ours and not _may_differ_by_additions(held, folders[0].settings):
            raise UserError(
                f"{other} holds shards of another cohort: {changed()}. One workspace has one split, or a "
                "patient could be trained on at one resolution and tested at the other: convert all resolutions "
                "together with --overwrite, or give another --workspace"
            )


def _refuse_another_salt(workspace: Workspace, salt: Path, mammograms: Sequence[Mammogram]) -> None:
    """Raise UserError if the workspace's table has these images under other pseudonyms, even with --overwrite: what
    trainings, regions and reader studies recorded would be of nobody that is known."""
    if has_another_salt(workspace.cohort, mammograms):
        raise UserError(
            f"salt file {salt} is not the one that {workspace.cohort} was made with: every patient would get another "
            "identifier than in what this workspace holds. Bring the salt back from a copy, or give another "
            f"--workspace; to change it on purpose, remove {workspace.cohort} too and give --overwrite"
        )


def _may_differ_by_additions(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two folders hold one cohort, of which one may lack the newest additions: patients have the same splits"""
    return one[COHORT] == other[COHORT] and is_earlier(*sorted((added_to(one), added_to(other)), key=len))


def _say_what_was_added(folders: Sequence[ShardFolder], mammograms: Sequence[Mammogram]) -> None:
    for folder in folders:
        for counted in describe_additions(mammograms)[folder.had :]:
            terminal.say(line_on(folder.resolution, counted))


def _carry_regions(cohort_csv: Path, mammograms: Sequence[Mammogram], workspace: Workspace) -> None:
    """Take the lesion regions that a scan wrote beside the table into the workspace."""
    files = {mammogram.key: mammogram.path for mammogram in mammograms}
    lines = {mammogram.key: mammogram.line for mammogram in mammograms if mammogram.lesion_regions}
    if carried := carry(cohort_csv, files, lines, workspace.regions):
        terminal.say(f"regions: {carried.mammograms} mammograms have lesion regions of their archive")
        if carried.ambiguous:
            terminal.say(f"  {carried.ambiguous} could be one of several films of the archive and got none")
        if carried.mammograms and not lines:
            terminal.say(
                f"  {cohort_csv.name} does not count them, as tables of earlier versions do not: if their file were "
                "lost, nobody would notice; repeat mammogan scan to have the column lesion_regions"
            )
    elif file_exists(workspace.regions):
        terminal.say(
            f"regions: none are beside {cohort_csv.name} any more, and the earlier ones are kept; if they no longer "
            f"hold, delete {workspace.regions}"
        )


def _say_what_decodes(tasks: Sequence[Task]) -> None:
    """Report before the conversion starts which files cannot be decoded, instead of only after a long run."""
    if tasks:
        for line in examine([task.mammogram.path for task in tasks]).lines():
            terminal.say(line)


def _convert_all(
    workspace: Workspace,
    folders: Sequence[ShardFolder],
    plan: Plan,
    remaining: Callable[[], list[Task]],
    running: Running,
) -> ConversionReport:
    mammograms = [row for rows in plan.values() for row in rows]

    def quarantine(reasons: Reasons) -> Path:
        return write_quarantine(workspace, folders, mammograms, reasons)

    tasks = remaining()
    _say_what_decodes(tasks)
    listed, converted = quarantine({}), set[str]()
    most = most_failures(running.max_failures, len(mammograms))
    failures = Failures(most, count_reasons(folders))
    try:
        failures.check()
        while tasks:  # a second time if a later shard showed that an image of an earlier one has both labels
            fill(
                folders, plan, tasks, running.processes(len(tasks)), running.file_seconds or None, failures, quarantine
            )
            converted |= {task.mammogram.key for task in tasks}
            tasks = remaining()
            failures = Failures(most, count_reasons(folders))
    except TooMany as stopped:
        reasons = why_left_out(failures.by_reason, listed)
        raise UserError("\n".join([str(stopped), *reasons, f"  {RESUME_HINT}"])) from None
    report = report_on(folders, mammograms, len(converted), listed)
    if not report.used:
        raise UserError("\n".join(["no file of the table could be used", *why_left_out(report.skipped, listed)]))
    for folder in folders:
        folder.write_index(plan, describe_additions(mammograms))
    warnings = (*SamePixels(folders, plan).warnings(), *same_women(ShardIndex.load(folders[0].path)))
    return replace(report, warnings=warnings)


def _tasks(
    folders: Sequence[ShardFolder], plan: Plan, task: Callable[[Mammogram, tuple[Resolution, ...]], Task]
) -> list[Task]:
    """List the remaining tasks, shard by shard; a file is decoded once for all resolutions that still need it.

    A finished shard remains if it has an image of which a later one shows that it has both labels.
    """
    same_pixels = SamePixels(folders, plan)
    for folder in folders:
        if again := same_pixels.misjudged(folder):
            terminal.say(f"{folder.resolution}: {len(again)} finished shards have images with both labels: made again")
            folder.reopen(again)
    missing = {name: tuple(folder.resolution for folder in folders if name not in folder.done) for name in plan}
    return [task(row, missing[name]) for name, rows in plan.items() if missing[name] for row in rows]
