"""Sets of images that victims score, each with a name and what identifies its pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammogan.data.shards.checked import CheckedShard
from mammogan.data.shards.reader import Sample

Pixels = NDArray[np.uint16]


@dataclass(frozen=True)
class ImageSet:
    """Images of one kind, such as the originals, or those of one attack; read only when they are needed."""

    name: str
    identity: str
    """sha256 that changes with the pixels and their keys."""
    keys: tuple[str, ...]
    """Keys of the originals, in order."""
    samples: Callable[[], Iterator[Sample]]
    """Gives each image in the order of the keys, with the key and the facts of its original."""

    def __len__(self) -> int:
        return len(self.keys)


def set_in_memory(name: str, samples: Iterable[Sample]) -> ImageSet:
    """Return a set of images that are in memory."""
    held = list(samples)
    digest = hashlib.sha256(repr([sample.key for sample in held]).encode())
    for sample in held:
        digest.update(sample.pixels.tobytes())
    return ImageSet(name, digest.hexdigest(), tuple(sample.key for sample in held), lambda: iter(held))


def set_of_shards(name: str, shards: Sequence[CheckedShard]) -> ImageSet:
    """Return a set of all images of some shards, which are checked when they are read."""
    keys = tuple(sample.key for shard in shards for sample in shard.indexed.samples)
    digest = hashlib.sha256(repr([(shard.path.name, shard.indexed.sha256) for shard in shards]).encode())
    return ImageSet(name, digest.hexdigest(), keys, lambda: (sample for shard in shards for sample in shard))
