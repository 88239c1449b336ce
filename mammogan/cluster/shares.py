"""The altering of a resolution's mammograms as an array of a study: how many tasks, before there is a shard to count.

Task K of N takes every N-th shard from the K-th on, so that the tasks do all there is to do however many shards there
come to be; with as many tasks as shards each has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mammogan.cluster.tasks import Command
from mammogan.config import Direction, Resolution, Workspace


def share_commands(command: tuple[str, ...], shares: int) -> list[Command]:
    """The tasks of launch/generate.py's ``command``."""
    return [Command((*command, "--share", f"{share}/{shares}")) for share in range(1, shares + 1)]


def shards_to_alter(
    workspace: Workspace,
    resolution: Resolution,
    splits: Iterable[str],
    directions: Iterable[Direction],
    cohort: Path | None,
    conversion: Any,
) -> int:
    """Shards of these splits and of labels that the directions alter: those that are there, else those that ``cohort``
    will make with make_shards' options ``conversion``."""
    sources = {direction.source for direction in directions}
    if (workspace.shards(resolution) / "index.json").is_file():
        from mammogan.attack.adversarial import real_shards

        there = (shard for split in splits for shard in real_shards(workspace, resolution, split))
        return sum(shard.label in sources for shard in there)
    if cohort is None or not cohort.is_file():  # which the stage that reads it says
        return 0
    from mammogan.data.shards import planned

    names = (name.split("-") for name in planned(cohort, conversion.seed, conversion.shard_images))
    wanted = set(splits)
    return sum(split in wanted and label in sources for split, label, _ in names)
