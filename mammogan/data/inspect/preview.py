"""Draw pages of pictures for a visual check: one shard, samples with certain flags, or the files that were left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mammogan.data.dicom.flags import FLAGS
from mammogan.data.dicom.quiet import quiet_pydicom
from mammogan.data.dicom.resample import bilinear
from mammogan.data.inspect.contact_sheet import CAPTION, DIM, GAP, HEIGHT, INK, caption, small
from mammogan.data.parallel.pool import Lost, in_order
from mammogan.data.shards.damage import naming, opened
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import read_facts, read_pixels
from mammogan.errors import MissingInput, UserError
from mammogan.io import atomic
from mammogan.io.own_files import file_exists
from mammogan.io.tables import read_own_csv
from mammogan.workspace import Workspace

SECONDS = 60.0  # time to decode a file that was left out; after that, its process is killed


@dataclass(frozen=True)
class Picture:
    """An 8-bit picture, HEIGHT pixels high, or None if it cannot be shown, and the two lines of text under it."""

    pixels: NDArray[np.uint8] | None
    above: str
    below: str


@dataclass(frozen=True)
class LeftOut:
    """A row of quarantine.csv, which lists the files that were left out."""

    line: str
    key: str
    reason: str
    path: Path


def of_shard(index: ShardIndex, name: str) -> Iterator[Picture]:
    """Yield all samples of one shard, named with or without .tar; UserError if there is no such shard."""
    names = [shard.name for shard in index.shards]
    wanted = name if name.endswith(".tar") else f"{name}.tar"
    if wanted not in names:
        raise UserError(f"--shard {name}: {index.folder} has no such shard; it has {', '.join(names)}")
    return _samples(index, wanted)


def with_flags(index: ShardIndex, flags: Sequence[str]) -> Iterator[Picture]:
    """Yield all samples that have at least one of ``flags``; UserError for an unknown flag."""
    if unknown := sorted(set(flags) - set(FLAGS)):
        raise UserError(f"--flags {' '.join(unknown)}: expected some of {', '.join(FLAGS)}")
    return _samples(index, None, frozenset(flags))


def _samples(index: ShardIndex, name: str | None, flags: frozenset[str] | None = None) -> Iterator[Picture]:
    width = round(HEIGHT * index.resolution.width / index.resolution.height)
    for shard in index.shards:
        if name not in (None, shard.name):
            continue
        with opened(index.folder / shard.name) as tar:
            for at in shard.samples:
                with naming(index.folder / shard.name, at.key):
                    facts = read_facts(tar, at)
                    shown = flags is None or flags & set(facts["flags"])
                    pixels = small(read_pixels(tar, at), width) if shown else None
                    below = caption(facts)
                if pixels is not None:
                    yield Picture(pixels, f"{shard.split} {shard.label}", below)


def of_left_out(workspace: Workspace) -> Iterator[Picture]:
    """Yield the files of quarantine.csv with their reasons; they are decoded, if possible, in a separate process.

    Raises MissingInput if there is no quarantine.csv.
    """
    table = workspace.salt.parent / "quarantine.csv"
    if not file_exists(table):
        raise MissingInput(f"{table} is not there: no conversion has run in {workspace.root}, or it left nothing out")
    rows = [LeftOut(row["line"], row["key"], row["reason"], Path(row["path"])) for row in read_own_csv(table)]
    with closing(in_order(thumbnail, [row.path for row in rows], 1, SECONDS)) as thumbnails:
        for row, pixels in zip(rows, thumbnails, strict=True):
            yield Picture(None if isinstance(pixels, Lost) else pixels, f"line {row.line}: {row.reason}", row.key)


def thumbnail(path: Path) -> NDArray[np.uint8] | None:
    """Return the first frame of a DICOM file, HEIGHT pixels high, scaled to its own range; None if it is unreadable."""
    try:
        with quiet_pydicom():
            file = pydicom.dcmread(path, force=True)
            stored = np.asarray(file.pixel_array, np.float32)
        if file.get("PhotometricInterpretation") == "MONOCHROME1":
            stored = -stored
        while stored.ndim > 2:  # frames come first, colours last
            stored = stored[..., 0] if stored.shape[-1] <= 4 else stored[0]
        height, width = stored.shape
        shown = bilinear(stored, (HEIGHT, max(1, min(HEIGHT, round(HEIGHT * width / height)))))
        return np.rint((shown - shown.min()) * (255 / max(float(np.ptp(shown)), 1e-9))).astype(np.uint8)
    except Exception:  # these files were left out because something is wrong with them
        return None


def draw(pictures: Sequence[Picture], path: Path, title: str, columns: int = 8, mode: int | None = None) -> None:
    """Write all ``pictures`` on one 8-bit PNG; ``mode`` is its file mode, such as atomic.PRIVATE."""
    columns = max(1, min(columns, len(pictures)))
    width = max([180, *(p.pixels.shape[1] for p in pictures if p.pixels is not None)])
    rows = math.ceil(len(pictures) / columns)
    page = Image.new("L", (GAP + columns * (width + GAP), CAPTION + rows * (HEIGHT + CAPTION)))
    pen = ImageDraw.Draw(page)
    pen.text((GAP, GAP), title, fill=INK)
    for number, picture in enumerate(pictures):
        left, top = GAP + number % columns * (width + GAP), CAPTION + number // columns * (HEIGHT + CAPTION)
        if picture.pixels is not None:
            page.paste(Image.fromarray(picture.pixels), (left, top))
        else:
            pen.text((left + GAP, top + HEIGHT // 2), "cannot be shown", fill=DIM)
        pen.text((left, top + HEIGHT + 2), picture.above, fill=INK)
        pen.text((left, top + HEIGHT + 14), picture.below, fill=DIM)
    with atomic.replaced_atomically(path, mode) as temporary:
        page.save(temporary, "PNG")
