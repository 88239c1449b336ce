"""Choose the originals that every attack is made on, so that all rows of a table speak of the same images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mammogan.attack.folder import real_shard
from mammogan.data.shards.checked import CheckedShard
from mammogan.data.shards.index import IndexedSample, ShardIndex
from mammogan.data.shards.reader import Sample
from mammogan.errors import MissingInput
from mammogan.evaluation.examples import Samples
from mammogan.evaluation.victims.image_set import ImageSet, Pixels, set_in_memory, set_of_shards
from mammogan.workspace import LABELS, Direction, Resolution, Workspace

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Originals:
    """Real mammograms of one split, in memory."""

    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def pixels(self) -> Pixels:
        """All images, uint16 (N,H,W)."""
        return np.stack([sample.pixels for sample in self.samples])

    @property
    def keys(self) -> list[str]:
        return [sample.key for sample in self.samples]

    @property
    def patients(self) -> list[str]:
        return [sample.facts["patient"] for sample in self.samples]

    @cached_property
    def positive(self) -> Bools:
        return np.array([sample.facts["label"] == "positive" for sample in self.samples], dtype=bool)

    def of(self, direction: Direction) -> Bools:
        """Return which images belong to the class that ``direction`` attacks."""
        return self.positive if direction is Direction.REMOVE else ~self.positive

    def subset(self, chosen: Bools) -> Originals:
        return Originals(tuple(s for s, is_chosen in zip(self.samples, chosen, strict=True) if is_chosen))

    @cached_property
    def as_set(self) -> ImageSet:
        return set_in_memory("originals", self.samples)


def choose_originals(workspace: Workspace, resolution: Resolution, split: str, images: int) -> Originals:
    """Return ``images`` / 2 mammograms of each class of a split, of as many patients as there are: the first of each
    patient in the cohort's order, then the second ones.

    Raise MissingInput if the split has none of a class.
    """
    folder = workspace.shards(resolution)
    read, found = Samples(folder), []
    for label in LABELS:
        shards = [shard for shard in ShardIndex.load(folder).of_split(split) if shard.label == label]
        keys = _patients_in_turn([sample for shard in shards for sample in shard.samples])[: images // 2]
        if not keys:
            raise MissingInput(f"no {label} mammograms in split {split} of {folder}")
        found += [read[key] for key in keys]
    return Originals(tuple(found))


def _patients_in_turn(samples: Sequence[IndexedSample]) -> list[str]:
    seen: Counter[str] = Counter()
    turns: list[tuple[int, str]] = []
    for sample in samples:
        turns.append((seen[sample.patient], sample.key))
        seen[sample.patient] += 1
    return [key for _, key in sorted(turns, key=lambda turn: turn[0])]


def shards_of(workspace: Workspace, resolution: Resolution, split: str) -> list[CheckedShard]:
    """Return all shards of real mammograms of a split."""
    index = ShardIndex.load(workspace.shards(resolution))
    return [real_shard(workspace, resolution, shard.name, shard.sha256) for shard in index.of_split(split)]


@dataclass(frozen=True)
class Validation:
    """The validation split, on which every threshold is chosen: its images, patients and labels."""

    images: ImageSet
    patients: tuple[str, ...]
    positive: Bools

    @classmethod
    def of(cls, workspace: Workspace, resolution: Resolution) -> Validation:
        shards = shards_of(workspace, resolution, "validation")
        patients = tuple(sample.patient for shard in shards for sample in shard.indexed.samples)
        positive = [shard.indexed.label == "positive" for shard in shards for _ in shard.indexed.samples]
        if not patients:
            raise MissingInput(
                f"no validation mammograms in {workspace.shards(resolution)}, and thresholds are chosen on them"
            )
        return cls(set_of_shards("validation", shards), patients, np.array(positive, dtype=bool))
