"""Find the mammograms that a reader study can show, with their adversarial images, and read their pixels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from mammogan.attack.config import Background
from mammogan.attack.folder import AdversarialFolder, Entry, adversarial_shard, option_of, real_shard
from mammogan.data.shards.damage import naming, opened
from mammogan.data.shards.index import IndexedSample, IndexedShard, ShardIndex
from mammogan.data.shards.reader import Sample, read_facts, read_sample
from mammogan.errors import MissingInput, UserError
from mammogan.io.shell import shell_word
from mammogan.io.terminal import track
from mammogan.reader.drawing.draw import Candidate
from mammogan.workspace import OBJECTIVES, SPLITS, Direction, Resolution, Workspace

UNSUITABLE = {
    "burned_in_annotation": "text may be burnt into the pixels",
    "breast_not_found": "no breast is distinct from the background",
    "background_not_cleaned": "the background was not made black",
    "background_unknown": "the background is unknown",
}
"""Flags of mammograms that are not shown: their air or text gives an adversarial image away, or names somebody."""
SAME_PIXELS = "the same pixels as another mammogram"
UNCHANGED = "the adversarial image is identical to its original"
OUT_OF_DOMAIN = "the generator was trained on other mammograms"
DIRECTION: dict[str, Direction] = {direction.source: direction for direction in Direction}


@dataclass(frozen=True)
class Stored:
    """Where a sample is stored."""

    shard: Path
    at: IndexedSample

    def read(self) -> Sample:
        """Read pixels and facts. Raise DamagedSample, a UserError that names shard and key, for damaged bytes."""
        return read_sample(self.shard, self.at)

    def facts(self) -> dict[str, Any]:
        """Read the facts alone; raises as ``read``."""
        with opened(self.shard) as file, naming(self.shard, self.at.key):
            return read_facts(file, self.at)


@dataclass(frozen=True)
class Source:
    """A mammogram that may be drawn, and its adversarial image, if there is one."""

    candidate: Candidate
    real: Stored
    fake: Stored | None

    def pixels(self) -> NDArray[np.uint16]:
        return self.real.read().pixels

    def fake_pixels(self) -> NDArray[np.uint16]:
        """Read the adversarial image; it must exist and be of this original."""
        if self.fake is None:
            raise LookupError(f"{self.candidate.key} has no adversarial image")
        sample = self.fake.read()
        if sample.facts["source_key"] != self.candidate.key:
            raise UserError(f"{self.fake.shard} is damaged: {sample.key} is no image of {self.candidate.key}")
        return sample.pixels


@dataclass
class Pool:
    """All mammograms that may be drawn, by key, and what was left out."""

    resolution: Resolution
    sources: dict[str, Source] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    """By reason."""
    made_from: dict[str, Any] = field(default_factory=dict)
    """sha256 of every shard that was read."""

    @property
    def candidates(self) -> list[Candidate]:
        return [source.candidate for source in self.sources.values()]


def find_pool(
    workspace: Workspace, resolution: Resolution, background: Background, out_of_domain: bool, training: int
) -> Pool:
    """Find all mammograms with what the study needs: adversarial images of validation and test, and of at least
    ``training`` training mammograms.

    Raise MissingInput, naming the commands, if shards or adversarial images are missing, and UserError if these were
    saved with another background than requested, or if a shard's sha256 is not the recorded one.
    """
    index = ShardIndex.load(workspace.shards(resolution))
    folder = AdversarialFolder(workspace, resolution)
    sha256 = {shard.name: shard.sha256 for shard in index.shards}
    current = (e for e in folder.entries() if sha256.get(e["source_shard"]) == e["source_shard_sha256"])
    entries = {entry["source_shard"]: entry for entry in current}
    _require(index, folder, entries, training, background)
    pool, seen = Pool(resolution), set[int]()
    pool.made_from = {"shards": index.fingerprint, "adversarial": sorted(e["sha256"] for e in entries.values())}
    for shard in track(index.shards, len(index.shards), "shards checked and read"):
        real_shard(folder.workspace, resolution, shard.name, shard.sha256).check_bytes()
        if entry := entries.get(shard.name):
            adversarial_shard(folder, entry).check_bytes()
        for source in _sources(folder, index, shard, entry, out_of_domain, pool):
            if (pixels := _digest(source.real)) in seen:
                pool.left_out[SAME_PIXELS] += 1
            else:
                seen.add(pixels)
                pool.sources[source.candidate.key] = source
    return pool


def _require(
    index: ShardIndex, folder: AdversarialFolder, entries: Mapping[str, Entry], training: int, background: Background
) -> None:
    """Raise MissingInput or UserError unless the adversarial shards that are needed exist with this background."""
    objective = folder.workspace.objective
    start = f"  mammogan generate --workspace {shell_word(folder.workspace.root)} --resolution {folder.resolution}"
    end = option_of(objective) + (" --background as-generated" if background == "as-generated" else "")
    commands = []
    if missing := [s for s in SPLITS[1:] if any(shard.name not in entries for shard in index.of_split(s))]:
        commands.append(f"{start} --split {' '.join(missing)}{end}")
    train = index.of_split("train")
    first = _first_shards(train, training)
    of_train = f"{start} --split train --allow-train --train-shards {first}{end}"
    if _lacks(train, entries, training):
        commands.append(of_train)
    if commands:
        raise MissingInput(
            f"the sessions need adversarial images that {folder.path} does not have or that are not current. Run\n"
            + "\n".join(commands)
        )
    if background == "as-generated" and objective in OBJECTIVES:
        other = sorted(e["name"] for e in entries.values() if e["made_from"].get("background") != background)
        if other:
            raise UserError(
                f"--background as-generated: {', '.join(other)} in {folder.path} were saved with the original's "
                f"background; make them again with\n{start} --split validation test{end}\n{of_train}"
            )


def _needed(train: Sequence[IndexedShard], training: int) -> dict[str, int]:
    """Return by label how many of ``training`` mammograms are needed, rounded up."""
    there = Counter[str]()
    for shard in train:
        there[shard.label] += shard.count
    share = min(1.0, training / max(1, there.total()))
    return {label: math.ceil(share * count) for label, count in there.items()}


def _lacks(train: Sequence[IndexedShard], entries: Mapping[str, Entry], training: int) -> bool:
    """Return whether a label has fewer training mammograms with an adversarial image than are needed."""
    made = Counter[str]()
    for shard in train:
        made[shard.label] += shard.count if shard.name in entries else 0
    return any(made[label] < needed for label, needed in _needed(train, training).items())


def _first_shards(train: Sequence[IndexedShard], training: int) -> int:
    """Return how many first shards of each label hold the needed training mammograms."""
    most = 1
    for label, needed in _needed(train, training).items():
        together = accumulate(shard.count for shard in train if shard.label == label)
        most = max(most, 1 + sum(count < needed for count in together))
    return most


def _sources(
    folder: AdversarialFolder,
    index: ShardIndex,
    shard: IndexedShard,
    entry: Entry | None,
    out_of_domain: bool,
    pool: Pool,
) -> Iterator[Source]:
    """Yield the suitable mammograms of one shard; count the others in ``pool``. Training mammograms need no adversarial
    image."""
    fakes = {fake.key: fake for fake in IndexedShard.from_json(entry).samples} if entry else {}
    for sample in shard.samples:
        real = Stored(index.folder / shard.name, sample)
        facts = real.facts()
        if unsuitable := [flag for flag in UNSUITABLE if flag in facts["flags"]]:
            pool.left_out[UNSUITABLE[unsuitable[0]]] += 1
            continue
        at = fakes.get(f"{sample.key}-{DIRECTION[shard.label]}")
        fake = Stored(folder.path / entry["name"], at) if entry and at else None
        why = ""
        if fake and entry and entry["out_of_domain"] and not out_of_domain:
            why = OUT_OF_DOMAIN
        elif fake and fake.facts().get("unchanged") is True:
            why = UNCHANGED
        if why:
            pool.left_out[why if shard.split != "train" else f"{why}; the original may be shown"] += 1
            fake = None
        if fake or shard.split == "train":
            candidate = Candidate(sample.key, sample.patient, shard.label, shard.split, fake is not None)
            yield Source(candidate, real, fake)


def _digest(stored: Stored) -> int:
    """Hash the encoded pixels: equal pixels of one codec have equal bytes."""
    with open(stored.shard, "rb") as file:
        file.seek(stored.at.pixels_offset)
        return xxhash.xxh3_128_intdigest(file.read(stored.at.pixels_size))
