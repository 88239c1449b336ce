"""Which altered mammograms a figure shows, by a rule, and their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mammogan.attack.scores import Scored
from mammogan.attack.triplets import Example
from mammogan.attack.truth import PhantomTruth
from mammogan.config import Direction
from mammogan.data.index import IndexedShard, ShardIndex
from mammogan.data.stream import Sample, read_facts, read_pixels


class Samples:
    """Random access by key to the samples of a folder with an index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shard_of: dict[str, IndexedShard] = {
            sample.key: shard for shard in ShardIndex.load(folder).shards for sample in shard.samples
        }

    def __getitem__(self, key: str) -> Sample:
        shard = self._shard_of[key]
        at = next(sample for sample in shard.samples if sample.key == key)
        with open(self.folder / shard.name, "rb") as file:
            return Sample(key, read_pixels(file, at), read_facts(file, at))


def choose(scored: Sequence[Scored], direction: Direction, threshold: float, wanted: int) -> list[tuple[Scored, str]]:
    """Up to ``wanted`` altered mammograms with the name of their place: the largest change of the CAD's probability
    in the generator's sense, the smallest, and evenly spread ranks between, among those called rightly before. One
    alone is the median.

    Among all where fewer than ``wanted`` were.
    """
    altered = [s for s in scored if s.fake and s.fake.direction == direction]
    right = [s for s in altered if (s.real.probability > threshold) == (s.real.label == "positive")]
    ordered = sorted(right if len(right) >= wanted else altered, key=lambda s: -_change(s, direction))
    last = len(ordered) - 1
    spread = np.linspace(0, last, min(wanted, len(ordered))) if wanted > 1 else [last / 2]
    places = sorted({round(place) for place in spread}) if ordered else []
    return [(ordered[place], _name(place, last)) for place in places]


def collect(
    chosen: Sequence[tuple[Scored, str]], real: Samples, fake: Samples, truth: PhantomTruth, threshold: float
) -> list[Example]:
    """Pixels and truth of the chosen mammograms."""
    return [_example(scored, place, real, fake, truth, threshold) for scored, place in chosen]


def _example(
    scored: Scored, place: str, reals: Samples, fakes: Samples, truth: PhantomTruth, threshold: float
) -> Example:
    if scored.fake is None:
        raise ValueError(f"{scored.real.key} was not altered")
    real, fake = reals[scored.real.key], fakes[scored.fake.key]
    known = truth.of(real.key, real.facts)
    spacing = real.facts.get("spacing_mm")
    return Example(
        name=f"{real.facts['laterality']} {real.facts['view']}",
        chosen=place,
        real=real.pixels,
        fake=fake.pixels,
        before=scored.real.probability,
        after=scored.fake.probability,
        threshold=threshold,
        spacing=spacing[0] if spacing else None,
        lesion=known.lesion if known else None,
        twin=known.twin if known else None,
    )


def _change(scored: Scored, direction: Direction) -> float:
    """How far the probability moved towards what the fake pretends to be."""
    after = scored.fake.probability if scored.fake else scored.real.probability
    rise = after - scored.real.probability
    return -rise if direction is Direction.REMOVE else rise


def _name(place: int, last: int) -> str:
    if last == 0:
        return "the only one"
    if place in (0, last):
        return "largest change" if place == 0 else "smallest change"
    return "median change" if abs(place - last / 2) <= 0.5 else f"change ranked {place + 1} of {last + 1}"
