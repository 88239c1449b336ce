"""Measure whether a generator's outputs resemble single training mammograms, as they would if it had memorised them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mammogan.attack.methods import NetworkAttack
from mammogan.data.inspect.near_duplicates import ALIKE, texture
from mammogan.data.shards.index import IndexedSample, IndexedShard, ShardIndex
from mammogan.data.shards.reader import read_sample
from mammogan.io.terminal import track
from mammogan.workspace import Direction

Place = tuple[IndexedShard, IndexedSample]


@dataclass(frozen=True)
class Nearest:
    """Correlation of textures with the nearest training mammogram, for each output and for the original it was made
    from."""

    outputs: NDArray[np.float32]
    originals: NDArray[np.float32]
    training: int
    """Number of training mammograms that were compared."""
    of: int
    """Number of all training mammograms."""

    def lines(self) -> list[str]:
        """Say what was measured, in sentences for a model card."""
        risen = self.outputs - self.originals
        copies = int((self.outputs >= ALIKE).sum())
        return [
            f"Altered validation mammograms: {len(self.outputs)}. Each output was compared with {self.training} of "
            f"{self.of} training mammograms, by the correlation of their textures. Two breasts hardly correlate; the "
            "same image with noise or another grey scale has .98.",
            "",
            f"- nearest training mammogram of an output: median {np.median(self.outputs):.2f}, highest "
            f"{self.outputs.max():.2f}",
            f"- nearest training mammogram of its original, which the training did not see: median "
            f"{np.median(self.originals):.2f}, highest {self.originals.max():.2f}",
            f"- largest rise from an original to its output: {risen.max():+.2f}",
            f"- outputs as near to a training mammogram as a copy would be ({ALIKE} or more): {copies}",
            "",
            "This finds outputs that are near to one training mammogram. It does not show that none can be drawn out "
            "of the weights by other means, and it does not say whether a given woman was in the training set.",
        ]


def measure_nearest(
    index: ShardIndex,
    generator: nn.Module,
    direction: Direction,
    outputs: int,
    training_images: int,
    device: torch.device,
) -> Nearest | None:
    """Compare the generator's outputs for validation mammograms with training mammograms; None if there are none.

    At most so many ``outputs`` and ``training_images`` are taken, evenly over their split.
    """
    known = _places(index, "train")
    sources = [place for place in _places(index, "validation") if place[0].label == direction.source]
    if not known or not sources:
        return None
    compared = _spread(known, training_images)
    textures = np.stack(
        [_texture_of(index, place) for place in track(compared, len(compared), "training mammograms read")]
    )
    attack = NetworkAttack(generator.to(device).eval())
    of_originals, of_outputs = [], []
    for shard, sample in _spread(sources, outputs):
        original = read_sample(index.folder / shard.name, sample)
        altered = attack.alter(torch.from_numpy(original.pixels)[None, None], [original.facts])[0, 0].numpy()
        of_originals.append((textures @ texture(original.pixels)).max())
        of_outputs.append((textures @ texture(altered)).max())
    return Nearest(np.array(of_outputs), np.array(of_originals), len(compared), len(known))


def _places(index: ShardIndex, split: str) -> list[Place]:
    return [(shard, sample) for shard in index.of_split(split) for sample in shard.samples]


def _spread(places: list[Place], most: int) -> list[Place]:
    """Take at most so many, evenly over the list."""
    chosen = np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int)
    return [places[number] for number in chosen]


def _texture_of(index: ShardIndex, place: Place) -> NDArray[np.float32]:
    shard, sample = place
    return texture(read_sample(index.folder / shard.name, sample).pixels)
