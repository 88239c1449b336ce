"""Convert files in several processes and write the missing shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from itertools import groupby

from mammogan.data.cohort.cohort import Mammogram
from mammogan.data.conversion.convert_image import Converted, Skipped, Task, convert
from mammogan.data.conversion.failure_limit import Failures
from mammogan.data.conversion.open_shard import OpenShard
from mammogan.data.conversion.plan import Plan
from mammogan.data.conversion.same_pixels import SamePixels
from mammogan.data.conversion.shard_folder import ShardFolder
from mammogan.data.parallel.pool import Lost, in_order
from mammogan.io import terminal
from mammogan.workspace import Resolution

CODES = {"timeout": "timeout", "killed": "out_of_memory", "crashed": "decoder_crashed"}
"""Reason code of a file whose process ended; "killed" is what the system does when the machine's memory runs out."""

Reasons = dict[str, Skipped]


def fill(
    folders: Sequence[ShardFolder],
    plan: Plan,
    tasks: Sequence[Task],
    jobs: int,
    file_seconds: float | None,
    failures: Failures,
    list_left_out: Callable[[Reasons], object],
) -> None:
    """Write all missing shards, in the plan's order. After an exception, the finished shards remain.

    ``list_left_out`` is called with the reasons (by key) of the rows left out so far, after each shard that leaves out
    rows, also when the run fails in it.
    """
    shard_of = {row.key: name for name, rows in plan.items() for row in rows}
    same_pixels = SamePixels(folders, plan)
    reasons: Reasons = {}
    with closing(in_order(convert, tasks, jobs, file_seconds)) as results:
        shown = terminal.track(results, len(tasks), "mammograms converted")
        pairs = zip(shown, tasks, strict=False)
        for name, group in groupby(pairs, key=lambda pair: shard_of[pair[1].mammogram.key]):
            known = len(reasons)
            try:
                with ExitStack() as opened:
                    shards = {
                        f.resolution: opened.enter_context(f.writing(name)) for f in folders if name not in f.done
                    }
                    for result, task in group:
                        outcome = same_pixels.judge(_unless_lost(result), task.mammogram)
                        _record(shards, task.mammogram, outcome)
                        if isinstance(outcome, Skipped):
                            reasons[task.mammogram.key] = outcome
                        failures.count(task.mammogram, outcome)
            finally:
                if len(reasons) > known:
                    list_left_out(reasons)


def _unless_lost(result: Converted | Skipped | Lost) -> Converted | Skipped:
    return Skipped(CODES[result.why], result.detail) if isinstance(result, Lost) else result


def _record(shards: dict[Resolution, OpenShard], row: Mammogram, outcome: Converted | Skipped) -> None:
    for resolution, shard in shards.items():
        if isinstance(outcome, Converted):
            shard.add(row, outcome.members[resolution], outcome.source_hmac)
        else:
            shard.exclude(row, outcome.code, outcome.source_hmac)
