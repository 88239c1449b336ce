"""Reading whole shards: a tar that was cut short reads as a shorter one without an error, so samples are counted."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mammogan.config import UserError
from mammogan.data.stream import Sample, read_shard

DAMAGE = (tarfile.TarError, LookupError, ValueError, EOFError, OSError)
"""What reading raises where members are cut off, missing or not what their names say."""


@dataclass(frozen=True)
class WholeShard:
    """A tar and the number of samples that its index says it holds."""

    path: Path
    count: int
    command: str
    """Makes it again once it is gone."""

    def __iter__(self) -> Iterator[Sample]:
        """All samples in order. UserError, at the latest at the end, when they are not ``count`` sound ones."""
        found = 0
        try:
            for sample in read_shard(self.path):
                found += 1
                yield sample
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno:  # trouble of the disk, not of the shard
                raise
            raise self.damaged(f"sample {found + 1} cannot be read ({type(error).__name__}: {error})") from error
        if found != self.count:
            raise self.damaged(f"found {found}")

    def damaged(self, found: str) -> UserError:
        """The error for a shard that is not what its index says."""
        where = f"{self.path} is damaged: expected {self.count} samples"
        return UserError(f"{where}, {found}. Delete it and run\n{self.command}")
