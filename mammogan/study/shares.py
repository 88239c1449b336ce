"""Splits a stage's work on shards into the tasks of an array, even before the shards exist.

Task K of N takes every N-th shard, starting with the K-th, so that all tasks together do everything, however many
shards there will be. With as many tasks as shards, each task has one shard.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from mammogan.cluster.tasks import Command, Task
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

Work = TypeVar("Work")


def share_commands(command: tuple[str, ...], shares: int) -> list[Command]:
    """Return the tasks of a ``command`` that takes --share."""
    return [Command((*command, "--share", f"{share}/{shares}")) for share in range(1, shares + 1)]


def share_of(tasks: Sequence[Work], share: str) -> Sequence[Work]:
    """Return every N-th task, starting with the K-th, for a share K/N; UserError for any other text."""
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", share)
    if not match or int(match[1]) > int(match[2]):
        raise UserError(f"--share {share}: expected K/N with 1 <= K <= N, such as 2/8")
    return tasks[int(match[1]) - 1 :: int(match[2])]


def work_through(steps: Mapping[str, Task]) -> None:
    """Do each step, named by what it makes; continue after a failure.

    UserError at the end that names all that failed. An error that a user cannot correct is printed with its traceback.
    """
    failed = {}
    for name, step in steps.items():
        try:
            step.work()
        except Exception as error:
            if not isinstance(error, UserError | OSError):
                traceback.print_exc()
            failed[name] = str(error) or type(error).__name__
            print(f"error: {name}: {failed[name]}", file=sys.stderr, flush=True)
    if failed:
        which = "; ".join(f"{name} ({why.splitlines()[0]})" for name, why in failed.items())
        raise UserError(f"{len(failed)} of {len(steps)} shards failed: {which}")


@dataclass(frozen=True)
class ExpectedShards:
    """The shards of a workspace by resolution: existing ones that stay, else those that will be made.

    They will be made from ``cohort`` with ``conversion``, the options of mammogan make-shards.
    """

    workspace: Workspace
    cohort: Path | None
    conversion: Any
    there: Set[Resolution]
    """Resolutions whose shards exist and will not be made again."""

    def of(self, resolution: Resolution) -> list[list[str]]:
        """Return split, label and number of each shard, in the order of the index.

        Of shards that are not made yet, some may never exist, since all their files can turn out to be unusable.
        """
        return self._there(resolution) if resolution in self.there else self._to_come

    def _there(self, resolution: Resolution) -> list[list[str]]:
        from mammogan.data.shards.index import ShardIndex

        shards = ShardIndex.load(self.workspace.shards(resolution)).shards
        return [Path(shard.name).stem.split("-") for shard in shards]

    @cached_property
    def _to_come(self) -> list[list[str]]:
        """Shards that will be made, the same at every resolution. Empty without a table; the stage that reads it
        reports that."""
        if self.cohort is None or not self.cohort.is_file():
            return []
        from mammogan.data.conversion.plan import planned

        options = self.conversion
        fixed = (options.seed, options.shard_images, options.overwrite, options.of_fold)
        return [name.split("-") for name in planned(self.cohort, self.workspace, *fixed)]
