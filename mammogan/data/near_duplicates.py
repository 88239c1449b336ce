"""Mammograms of different splits that look like one image: exported twice, windowed anew, cropped by a line.

Equal stored pixels are found exactly elsewhere. Here each image is a small picture of its texture: block means minus
their neighbourhood's mean, of unit length. Those of two breasts hardly correlate; those of one image do, unless it was
moved by more than a block or its grey scale was cut off. A high value is a reason to look, no proof.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.config import SPLITS
from mammogan.data.index import ShardIndex
from mammogan.data.stream import read_pixels
from mammogan.terminal import track

BLOCKS = 48  # of an image's longer side
AROUND = 5  # blocks of the neighbourhood
DARK = 0.1  # of the brightest block: less is background, and skin lines beside it are much alike in all breasts
ALIKE = 0.8  # no two of 120 phantom patients reach 0.65; one image with noise or another gamma keeps 0.98
ROWS = 1024  # images compared at a time, so that large cohorts fit into memory


@dataclass(frozen=True)
class Pair:
    """Two samples in different splits and the correlation of their textures, at most 1."""

    first: str
    second: str
    splits: tuple[str, str]
    alike: float

    def __str__(self) -> str:
        return f"{self.first} ({self.splits[0]}) and {self.second} ({self.splits[1]}) look alike ({self.alike:.2f})"


def texture(pixels: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The small picture of a shard image (H,W), flat, of length 1; all 0 where nothing is to be seen."""
    side = max(1, max(pixels.shape) // BLOCKS)
    rows, cols = pixels.shape[0] // side, pixels.shape[1] // side
    blocks = pixels[: rows * side, : cols * side].reshape(rows, side, cols, side).mean(axis=(1, 3))
    inside = ndimage.minimum_filter(blocks, AROUND) > blocks.max() * DARK
    fine = np.where(inside, blocks - ndimage.uniform_filter(blocks, AROUND), 0).ravel()
    return (fine / max(float(np.linalg.norm(fine)), 1e-9)).astype(np.float32)


def near_duplicates(index: ShardIndex, alike: float = ALIKE) -> list[Pair]:
    """Pairs of samples in different splits whose textures correlate at ``alike`` or more, the most alike first."""
    keys: dict[str, list[str]] = {split: [] for split in SPLITS}
    textures: dict[str, list[NDArray[np.float32]]] = {split: [] for split in SPLITS}
    for shard in track(index.shards, len(index.shards), f"shards {index.resolution} compared across splits"):
        with open(index.folder / shard.name, "rb") as file:
            for sample in shard.samples:
                keys[shard.split].append(sample.key)
                textures[shard.split].append(texture(read_pixels(file, sample)))
    pairs = [
        Pair(keys[one][i], keys[other][j], (one, other), value)
        for one, other in combinations([split for split in SPLITS if keys[split]], 2)
        for i, j, value in _correlated(np.stack(textures[one]), np.stack(textures[other]), alike)
    ]
    return sorted(pairs, key=lambda pair: -pair.alike)


def _correlated(
    ones: NDArray[np.float32], others: NDArray[np.float32], alike: float
) -> Iterator[tuple[int, int, float]]:
    for start in range(0, len(ones), ROWS):
        found = ones[start : start + ROWS] @ others.T
        for i, j in np.argwhere(found >= alike):
            yield start + int(i), int(j), float(found[i, j])
