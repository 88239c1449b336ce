"""Read complete shards and count their samples: a tar that was cut off reads as a shorter one, without an error."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mammogan.data.shards.reader import Sample, read_shard
from mammogan.errors import UserError

DAMAGE = (tarfile.TarError, LookupError, ValueError, EOFError, OSError)
"""Errors raised while reading members that are cut off, missing, or not what their names say."""


@dataclass(frozen=True)
class CheckedShard:
    """A tar and the number of samples that its index says it holds."""

    path: Path
    count: int
    command: str
    """The command that makes the shard again after it was deleted; the error message shows it."""

    def __iter__(self) -> Iterator[Sample]:
        """Yield all samples in order. Raises UserError, at the latest at the end, unless all ``count`` are sound."""
        found = 0
        try:
            for sample in read_shard(self.path):
                found += 1
                yield sample
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno:  # an error of the disk, not of the shard
                raise
            raise self.damaged(f"sample {found + 1} cannot be read ({type(error).__name__}: {error})") from error
        if found != self.count:
            raise self.damaged(f"found {found}")

    def damaged(self, found: str) -> UserError:
        """Make the error for a shard that does not match its index."""
        where = f"{self.path} is damaged: expected {self.count} samples"
        return UserError(f"{where}, {found}. Delete it and run\n{self.command}")
