"""Work on shards as an array of a study: of how many tasks, before there is a shard to count, and what each task does.

Task K of N takes every N-th shard from the K-th on, so that the tasks do all there is to do however many shards there
come to be; with as many tasks as shards each has one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from mammogan.cluster.tasks import Command
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


@dataclass(frozen=True)
class ExpectedShards:
    """The shards of a workspace by resolution: those that are there, else those that ``cohort`` will make with
    make_shards' options ``conversion``."""

    workspace: Workspace
    cohort: Path | None
    conversion: Any

    def count(self, resolution: Resolution, splits: Collection[str], labels: Collection[str]) -> int:
        """Of these splits and labels."""
        names = self._there(resolution) if self._are_there(resolution) else self._to_come
        return sum(split in splits and label in labels for split, label in names)

    def _are_there(self, resolution: Resolution) -> bool:
        return (self.workspace.shards(resolution) / "index.json").is_file()

    def _there(self, resolution: Resolution) -> list[tuple[str, str]]:
        from mammogan.data.index import ShardIndex

        return [(shard.split, shard.label) for shard in ShardIndex.load(self.workspace.shards(resolution)).shards]

    @cached_property
    def _to_come(self) -> list[tuple[str, str]]:
        """The same at every resolution. None without a table, which the stage that reads it says."""
        if self.cohort is None or not self.cohort.is_file():
            return []
        from mammogan.data.shards import planned

        names = planned(self.cohort, self.conversion.seed, self.conversion.shard_images)
        return [(split, label) for split, label, _ in (name.split("-") for name in names)]
