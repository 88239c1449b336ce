"""Read complete shards and compare them with their index: the number of samples, what each is, and the file's sha256.

A tar that was cut off reads as a shorter one, without an error, and one that was edited as a sound one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mammogan.data.shards.damage import DAMAGE, unread
from mammogan.data.shards.index import IndexedSample, IndexedShard
from mammogan.errors import UserError
from mammogan.io.atomic import sha256

OTHER_FILE = "found them in a file whose sha256 is not the one that was recorded when it was made"

if TYPE_CHECKING:
    from mammogan.data.shards.reader import Sample


@dataclass(frozen=True)
class CheckedShard:
    """A tar and what its index says it holds."""

    path: Path
    indexed: IndexedShard
    command: str
    """The command that makes the shard again after it was deleted; the error message shows it."""

    @property
    def count(self) -> int:
        return self.indexed.count

    def __iter__(self) -> Iterator[Sample]:
        """Yield all samples in order, hashing the file while it is read.

        Raises UserError, at the latest at the end, unless all samples are sound, key, patient, split and label of each
        are those of the index, and the file's sha256 is too. So nothing that comes of the samples may be kept before
        the end.
        """
        from mammogan.data.shards.reader import read_shard

        found, digest = 0, hashlib.sha256()
        try:
            for sample in read_shard(self.path, digest):
                if found < len(self.indexed.samples) and (other := self._other(sample, self.indexed.samples[found])):
                    raise self.damaged(f"at sample {found + 1}, {other}")
                found += 1
                yield sample
        except UserError:
            raise
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno:  # an error of the disk, not of the shard
                if isinstance(error, FileNotFoundError):
                    raise
                raise unread(self.path, self._key(found), error) from error
            raise self.damaged(f"sample {found + 1} cannot be read ({type(error).__name__}: {error})") from error
        if found != self.count:
            raise self.damaged(f"found {found}")
        if digest.hexdigest() != self.indexed.sha256:
            raise self.damaged(OTHER_FILE)

    def check(self) -> None:
        """Read and hash the whole file; raise UserError if it is not the one that the index lists."""
        for _ in self:
            pass

    def check_bytes(self) -> None:
        """Hash the whole file without decoding it; raise UserError if it is not the one that the index lists."""
        if sha256(self.path) != self.indexed.sha256:
            raise self.damaged(OTHER_FILE)

    def _key(self, place: int) -> str:
        """Return the key of a sample by its place in the tar; of what follows the last one, that."""
        return self.indexed.samples[place].key if place < len(self.indexed.samples) else "the end"

    def _other(self, sample: Sample, expected: IndexedSample) -> str:
        """Return how a sample differs from the index; empty if it does not."""
        if sample.key != expected.key:
            return f"found {sample.key} where {expected.key} is expected"
        known = {
            "key": expected.key,
            "patient": expected.patient,
            "split": self.indexed.split,
            "label": self.indexed.label,
        }
        told = [
            f"{name} {sample.facts.get(name)!r} where the index has {value!r}"
            for name, value in known.items()
            if sample.facts.get(name) != value
        ]
        return f"{sample.key}: found {', '.join(told)}" if told else ""

    def damaged(self, found: str) -> UserError:
        """Make the error for a shard that does not match its index."""
        where = f"{self.path} is damaged: expected {self.count} samples"
        return UserError(f"{where}, {found}. Delete it and run\n{self.command}")
