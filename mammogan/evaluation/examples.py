"""Choose by a fixed rule which adversarial mammograms a figure shows, and load their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammogan.data.shards.index import IndexedShard, ShardIndex
from mammogan.data.shards.reader import Sample, read_facts, read_pixels
from mammogan.evaluation.phantom_truth import PhantomTruth
from mammogan.evaluation.scores import Scored
from mammogan.workspace import Direction

Pixels = NDArray[np.uint16]
Mask = NDArray[np.bool_]
FULL = 65535.0


@dataclass(frozen=True)
class Example:
    """One adversarial mammogram as a figure shows it: pixels uint16 (H,W), masks bool (H,W), in the shards' frame."""

    name: str
    """Side and view, such as 'L MLO'."""
    chosen: str
    """Why this one is shown, such as 'largest change'."""
    real: Pixels
    fake: Pixels
    before: float
    after: float
    threshold: float
    spacing: float | None = None
    """mm per pixel."""
    lesion: Mask | None = None
    twin: Pixels | None = None
    """The same mammogram without its lesion, if it is a phantom with a twin."""

    @property
    def difference(self) -> NDArray[np.float64]:
        """Fake minus real in percent of the full grey range, in [-100,100]."""
        return (self.fake.astype(float) - self.real) / FULL * 100

    @property
    def caption(self) -> str:
        calls = ["cancer" if p > self.threshold else "negative" for p in (self.before, self.after)]
        calls_in_words = (
            f"called {calls[0]}, then {calls[1]}" if calls[0] != calls[1] else f"called {calls[0]} both times"
        )
        return (
            f"{self.name}, {self.chosen}: probability of cancer {self.before:.2f} → {self.after:.2f}, {calls_in_words}"
        )


class Samples:
    """Random access by key to the samples of a folder of shards with an index."""

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
    """Choose up to ``wanted`` adversarial mammograms, each with the name of its rank.

    They are ranked by how far the CAD's probability moved in the generator's direction: the largest change, the
    smallest, and evenly spaced ranks between; if only one is wanted, the median. Only mammograms that the CAD called
    correctly before are used, or all if fewer than ``wanted`` were.
    """
    adversarial = [s for s in scored if s.fake and s.fake.direction == direction]
    right = [s for s in adversarial if (s.real.probability > threshold) == (s.real.label == "positive")]
    ordered = sorted(right if len(right) >= wanted else adversarial, key=lambda s: -_change(s, direction))
    last = len(ordered) - 1
    spread = np.linspace(0, last, min(wanted, len(ordered))) if wanted > 1 else [last / 2]
    places = sorted({round(place) for place in spread}) if ordered else []
    return [(ordered[place], _name(place, last)) for place in places]


def collect(
    chosen: Sequence[tuple[Scored, str]], real: Samples, fake: Samples, truth: PhantomTruth, threshold: float
) -> list[Example]:
    """Load the pixels and phantom truth of the chosen mammograms."""
    return [_example(scored, place, real, fake, truth, threshold) for scored, place in chosen]


def _example(
    scored: Scored, place: str, reals: Samples, fakes: Samples, truth: PhantomTruth, threshold: float
) -> Example:
    if scored.fake is None:
        raise ValueError(f"{scored.real.key} has no adversarial version")
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
    """Return how far the probability moved towards the class that the adversarial image should seem to have."""
    after = scored.fake.probability if scored.fake else scored.real.probability
    rise = after - scored.real.probability
    return -rise if direction is Direction.REMOVE else rise


def _name(place: int, last: int) -> str:
    if last == 0:
        return "the only one"
    if place in (0, last):
        return "largest change" if place == 0 else "smallest change"
    return "median change" if abs(place - last / 2) <= 0.5 else f"change ranked {place + 1} of {last + 1}"
