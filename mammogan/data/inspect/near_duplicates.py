"""Find mammograms in different splits that look like one image, exported twice, windowed again or cropped by a line.

Images with equal stored pixels are found by another check. Here, each image is reduced to a small picture of its
texture: block means minus the mean of their neighbourhood, scaled to unit length. The textures of two breasts hardly
correlate; those of the same image do, unless it was moved by more than a block or its grey scale was cut off. A high
correlation is a reason to look at both images, not a proof.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data.shards.damage import naming, opened
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import read_pixels
from mammogan.io.terminal import track
from mammogan.workspace import SPLITS

BLOCKS = 48  # along the longer side of an image
AROUND = 5  # side of the neighbourhood in blocks
DARK = 0.1  # darker than this share of the brightest block is background; skin lines beside it are alike in all breasts
ALIKE = 0.8  # no two of 120 phantom patients reach 0.65; the same image with noise or another gamma keeps 0.98
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
    """Return the texture of a shard image (H,W) as a flat vector of unit length; all 0 for an image without texture."""
    side = max(1, max(pixels.shape) // BLOCKS)
    rows, cols = pixels.shape[0] // side, pixels.shape[1] // side
    blocks = pixels[: rows * side, : cols * side].reshape(rows, side, cols, side).mean(axis=(1, 3))
    inside = ndimage.minimum_filter(blocks, AROUND) > blocks.max() * DARK
    fine = np.where(inside, blocks - ndimage.uniform_filter(blocks, AROUND), 0).ravel()
    return (fine / max(float(np.linalg.norm(fine)), 1e-9)).astype(np.float32)


def near_duplicates(index: ShardIndex, alike: float = ALIKE) -> list[Pair]:
    """Return pairs of samples in different splits with textures that correlate by ``alike`` or more, highest first."""
    keys: dict[str, list[str]] = {split: [] for split in SPLITS}
    textures: dict[str, list[NDArray[np.float32]]] = {split: [] for split in SPLITS}
    for shard in track(index.shards, len(index.shards), f"shards {index.resolution} compared across splits"):
        with opened(index.folder / shard.name) as file:
            for sample in shard.samples:
                keys[shard.split].append(sample.key)
                with naming(index.folder / shard.name, sample.key):
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
