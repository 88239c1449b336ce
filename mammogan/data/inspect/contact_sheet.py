"""Draw a contact sheet: a few mammograms of each split and label on one page, for a quick visual check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mammogan.data.dicom.resample import bilinear
from mammogan.data.shards.damage import naming
from mammogan.data.shards.index import IndexedSample, IndexedShard, ShardIndex
from mammogan.data.shards.reader import read_sample
from mammogan.io import atomic
from mammogan.workspace import LABELS, SPLITS

HEIGHT = 240  # of each picture, in pixels
CAPTION = 30  # height of the two lines under it
GAP = 6
INK, DIM = 255, 170


def draw_contact_sheet(index: ShardIndex, path: Path, columns: int = 6) -> None:
    """Write an 8-bit PNG: for each split and label that has images, a row of up to ``columns``, evenly spread."""
    width = round(HEIGHT * index.resolution.width / index.resolution.height)
    rows = [(split, label) for split in SPLITS for label in LABELS if index.counts[split][label]]
    columns = min(columns, max(index.counts[split][label] for split, label in rows))
    page = Image.new("L", (GAP + columns * (width + GAP), CAPTION + len(rows) * (HEIGHT + CAPTION)))
    pen = ImageDraw.Draw(page)
    pen.text((GAP, GAP), f"{index.resolution}: every chest wall at the left, every background black?", fill=INK)
    for row, (split, label) in enumerate(rows):
        for column, (shard, sample) in enumerate(_spread(index, split, label, columns)):
            corner = (GAP + column * (width + GAP), CAPTION + row * (HEIGHT + CAPTION))
            shown = read_sample(index.folder / shard.name, sample)
            with naming(index.folder / shard.name, sample.key):
                below = caption(shown.facts)
            page.paste(Image.fromarray(small(shown.pixels, width)), corner)
            pen.text((corner[0], corner[1] + HEIGHT + 2), f"{split} {label}", fill=INK)
            pen.text((corner[0], corner[1] + HEIGHT + 14), below, fill=DIM)
    with atomic.replaced_atomically(path) as temporary:
        page.save(temporary, "PNG")


def _spread(index: ShardIndex, split: str, label: str, number: int) -> Iterator[tuple[IndexedShard, IndexedSample]]:
    found = [
        (shard, s) for shard in index.shards if (shard.split, shard.label) == (split, label) for s in shard.samples
    ]
    for position in np.unique(np.linspace(0, len(found) - 1, min(number, len(found))).round().astype(int)):
        yield found[position]


def small(pixels: NDArray[np.uint16], width: int) -> NDArray[np.uint8]:
    """Shrink a shard image, uint16 (H,W), to HEIGHT x ``width`` pixels of 8 bits; the full range of 16 bits is kept."""
    shown = bilinear(pixels.astype(np.float32), (HEIGHT, width))
    return np.rint(np.clip(shown / 257, 0, 255)).astype(np.uint8)


def caption(facts: dict[str, Any]) -> str:
    """Return the image part of the key, side, view and what is unusual: synthetic, film and flags."""
    marks = [name for name in ("synthetic", "film") if facts[name]]
    return "  ".join([facts["key"].split("-")[1], facts["laterality"], facts["view"], *marks, *facts["flags"]])
