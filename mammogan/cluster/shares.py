"""Work on shards as an array of a study: what its tasks make, before there is a shard to count, and what each does.

Task K of N takes every N-th shard from the K-th on, so that the tasks do all there is to do however many shards there
come to be; with as many tasks as shards each has one.
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
from mammogan.config import Resolution, UserError, Workspace

Work = TypeVar("Work")


def share_commands(command: tuple[str, ...], shares: int) -> list[Command]:
    """The tasks of a ``command`` that takes --share."""
    return [Command((*command, "--share", f"{share}/{shares}")) for share in range(1, shares + 1)]


def share_of(tasks: Sequence[Work], share: str) -> Sequence[Work]:
    """Every N-th task from the K-th on, for a share of K/N. UserError when it is none."""
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", share)
    if not match or int(match[1]) > int(match[2]):
        raise UserError(f"--share {share}: expected K/N with 1 <= K <= N, such as 2/8")
    return tasks[int(match[1]) - 1 :: int(match[2])]


def work_through(steps: Mapping[str, Task]) -> None:
    """Take each step, by what it makes, also after one has failed. UserError at the end, which names all that failed;
    what a user cannot mend is told with its traceback."""
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
        told = "; ".join(f"{name} ({why.splitlines()[0]})" for name, why in failed.items())
        raise UserError(f"{len(failed)} of {len(steps)} shards failed: {told}")


@dataclass(frozen=True)
class ExpectedShards:
    """The shards of a workspace by resolution: those that are there and stay, else those that ``cohort`` will make with
    make_shards' options ``conversion``."""

    workspace: Workspace
    cohort: Path | None
    conversion: Any
    there: Set[Resolution]
    """Resolutions whose shards are there, and not about to be made anew."""

    def of(self, resolution: Resolution) -> list[tuple[str, str, str]]:
        """Split, label and number of each, in the order of the index; of those to come some may stay away, since all
        their files can turn out to be unusable."""
        return self._there(resolution) if resolution in self.there else self._to_come

    def _there(self, resolution: Resolution) -> list[tuple[str, str, str]]:
        from mammogan.data.index import ShardIndex

        return [_parts(Path(shard.name).stem) for shard in ShardIndex.load(self.workspace.shards(resolution)).shards]

    @cached_property
    def _to_come(self) -> list[tuple[str, str, str]]:
        """The same at every resolution. None without a table, which the stage that reads it says."""
        if self.cohort is None or not self.cohort.is_file():
            return []
        from mammogan.data.shards import planned

        return list(map(_parts, planned(self.cohort, self.conversion.seed, self.conversion.shard_images)))


def _parts(name: str) -> tuple[str, str, str]:
    split, label, number = name.split("-")
    return split, label, number
