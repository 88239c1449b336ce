"""The cohort table to tar shards: planned, converted in several processes, resumed, reported.

One shard holds mammograms of one split and one label, in the table's order; which ones is planned beforehand, so that
the bytes depend on the table and the settings only, not on the number of processes or on interruptions.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path

from mammogan import files, terminal
from mammogan.config import LABELS, SPLITS, Resolution, UserError, Workspace
from mammogan.data.cohort import Mammogram, assign, write_cohort
from mammogan.data.conversion_report import ConversionReport, list_skipped, report_on
from mammogan.data.convert import Converted, Skipped, Task, convert
from mammogan.data.dicom import Voi
from mammogan.data.index import IndexedSample, IndexedShard, ShardIndex
from mammogan.data.pseudonyms import Pseudonyms, load_salt
from mammogan.data.shard_folder import SETTINGS, OpenShard, ShardFolder
from mammogan.data.table import read_table
from mammogan.data.verify import verify
from mammogan.data.workers import cores, in_order

__all__ = ["ConversionReport", "IndexedSample", "IndexedShard", "ShardIndex", "verify", "write_shards"]

CONVERSION = 2
"""Counts up when the same file and settings give other pixels than before."""
CRASHED = Skipped("decoder_crashed", "the decoder took its process down")

Plan = dict[str, list[Mammogram]]


def write_shards(
    cohort_csv: Path,
    workspace: Workspace,
    resolutions: Sequence[Resolution],
    seed: int = 0,
    jobs: int = 0,
    shard_images: int = 256,
    salt_file: Path | None = None,
    overwrite: bool = False,
    voi: Voi = "header",
) -> ConversionReport:
    """Make, or finish making, the shards of a cohort. ``jobs`` 0: one process for each core.

    Raises UserError before any shard is touched: for a table with faults (all of them at once), and for folders with
    shards of other settings. A file that cannot be used is left out, counted and listed.
    """
    if shard_images < 1 or jobs < 0:
        raise UserError(
            f"--shard-images {shard_images} --jobs {jobs}: expected at least 1 image and 0 (all cores) or more"
        )
    rows = read_table(cohort_csv)
    names = Pseudonyms(load_salt(salt_file or workspace.salt))
    mammograms = assign(rows, cohort_csv.parent, names, seed)
    plan = plan_shards(mammograms, shard_images)
    settings = {
        "conversion": CONVERSION,
        "voi": voi,
        "fit": "pad",
        "kernel": "bicubic, antialiased",
        "shard_images": shard_images,
        "split": "of the table" if rows[0].split else f"seed {seed}",
        "cohort_sha256": fingerprint(mammograms),
    }
    folders = [ShardFolder(workspace.shards(r), r, settings) for r in sorted(set(resolutions), reverse=True)]
    with _alone_in(workspace):
        _refuse_other_settings(workspace, folders, overwrite)
        for folder in folders:
            folder.claim(plan, overwrite)
        write_cohort(workspace.cohort, mammograms)
        return _convert_all(workspace, folders, plan, voi, jobs)


def plan_shards(mammograms: Sequence[Mammogram], shard_images: int) -> Plan:
    """Name of each shard, <split>-<label>-<number>, and its rows."""
    plan: Plan = {}
    for split in SPLITS:
        for label in reversed(LABELS):
            rows = [row for row in mammograms if (row.split, row.label) == (split, label)]
            for number, start in enumerate(range(0, len(rows), shard_images)):
                plan[f"{split}-{label}-{number:06d}"] = rows[start : start + shard_images]
    return plan


def fingerprint(mammograms: Sequence[Mammogram]) -> str:
    """sha256 of all that the shards take from the table: keys, sides, views, labels, splits, densities, their order."""
    taken = [(m.key, m.laterality, m.view, m.label, m.split, m.density) for m in mammograms]
    return hashlib.sha256(json.dumps(taken).encode()).hexdigest()


@contextmanager
def _alone_in(workspace: Workspace) -> Iterator[None]:
    """Let no second conversion write into the same workspace; the lock ends with the process."""
    private = workspace.salt.parent
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(private / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{workspace.root}: another make_shards.py is writing here; wait until it ends") from None
        yield


def _refuse_other_settings(workspace: Workspace, folders: Sequence[ShardFolder], overwrite: bool) -> None:
    if not overwrite:
        for folder in folders:
            folder.check()
    ours = {folder.path for folder in folders}
    for other in workspace.root.glob(f"shards/*/{SETTINGS}"):
        held = files.read_json(other)
        if other.parent not in ours and held["cohort_sha256"] != folders[0].settings["cohort_sha256"]:
            raise UserError(
                f"{other.parent} holds shards of another table, split or salt. One workspace has one split, or a "
                "patient could be trained on at one resolution and tested at the other: convert all resolutions "
                "together with --overwrite, or give another --workspace"
            )


def _convert_all(
    workspace: Workspace, folders: Sequence[ShardFolder], plan: Plan, voi: Voi, jobs: int
) -> ConversionReport:
    tasks = _tasks(folders, plan, voi)
    reasons = _fill(folders, plan, tasks, min(jobs or cores(), max(1, len(tasks))))
    mammograms = [row for rows in plan.values() for row in rows]
    listed = list_skipped(workspace, folders, mammograms, reasons)
    report = report_on(folders, mammograms, len(tasks), listed)
    if not report.used:
        raise UserError("\n".join(["no file of the table could be used", *report.why_skipped()]))
    for folder in folders:
        folder.write_index(list(plan))
    return report


def _tasks(folders: Sequence[ShardFolder], plan: Plan, voi: Voi) -> list[Task]:
    """What is still to be made, shard by shard; a file is decoded once for all resolutions that miss it."""
    missing = {name: tuple(folder.resolution for folder in folders if name not in folder.done) for name in plan}
    return [Task(row, missing[name], voi) for name, rows in plan.items() if missing[name] for row in rows]


def _fill(folders: Sequence[ShardFolder], plan: Plan, tasks: Sequence[Task], jobs: int) -> dict[str, Skipped]:
    """Write all missing shards; the reasons of the rows that were left out, by key."""
    shard_of = {row.key: name for name, rows in plan.items() for row in rows}
    row_of = {row.key: row for rows in plan.values() for row in rows}
    first = {digest: row_of[key] for folder in folders for digest, key in folder.sources().items()}
    reasons: dict[str, Skipped] = {}
    results = terminal.track(in_order(convert, tasks, jobs), len(tasks), "mammograms converted") if tasks else ()
    pairs = zip(results, tasks, strict=False)
    for name, group in groupby(pairs, key=lambda pair: shard_of[pair[1].mammogram.key]):
        with ExitStack() as opened:
            shards = {f.resolution: opened.enter_context(f.writing(name)) for f in folders if name not in f.done}
            for result, task in group:
                outcome = _unless_repeated(result or CRASHED, task.mammogram, first)
                _record(shards, task.mammogram, outcome)
                if isinstance(outcome, Skipped):
                    reasons[task.mammogram.key] = outcome
    return reasons


def _unless_repeated(result: Converted | Skipped, row: Mammogram, first: dict[str, Mammogram]) -> Converted | Skipped:
    """Keep the first of files with equal pixels, so that no image is in two splits or counts twice.

    Rows that give one image two patients or labels cannot both be right: they get a reason of their own.
    """
    if isinstance(result, Skipped):
        return result
    kept = first.setdefault(result.source_sha256, row)
    if kept.key == row.key:
        return result
    agree = (kept.patient, kept.label) == (row.patient, row.label)
    return Skipped("duplicate" if agree else "duplicate_conflict", f"same pixels as {kept.key}, line {kept.line}")


def _record(shards: dict[Resolution, OpenShard], row: Mammogram, outcome: Converted | Skipped) -> None:
    for resolution, shard in shards.items():
        if isinstance(outcome, Converted):
            shard.add(row, outcome.members[resolution], outcome.source_sha256, outcome.flags)
        else:
            shard.exclude(row, outcome.code)
