"""Measures the processor time to convert a mammogram to both resolutions, and compares it with simpler methods.

    python benchmarks/convert.py                       3328x2560 phantoms, as written and losslessly compressed
    python benchmarks/convert.py --rounds 15 --images 4

Plain: pydicom's pixel_array, Pillow's bicubic twice, webdataset's ShardWriter. Floor: decode, two resizes by torch and
the same encodings as ours, and nothing else: no grey scale, background, orientation, fingerprint or tar. Own floor: the
same with our resize. All run in one thread. Every round runs all methods in turn, and processor time is counted, so
other work on the machine has little effect. Ratios are medians over the rounds' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
import webdataset as wds
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from measuring import machine
from phantoms import DETECTOR, draw_phantoms

from mammogan.data.cohort.cohort import Mammogram, assign
from mammogan.data.cohort.pseudonyms import Pseudonyms
from mammogan.data.cohort.table import read_table
from mammogan.data.conversion.convert_image import Converted, Task, convert
from mammogan.data.conversion.open_shard import OpenShard
from mammogan.data.dicom.decoding.decode import decode
from mammogan.data.dicom.kind import read
from mammogan.data.dicom.placement import Placement, content
from mammogan.data.dicom.resample import bicubic
from mammogan.data.shards.codec import CODECS, Codec, encode
from mammogan.workspace import HIGH, LOW

SYNTAXES = {"uncompressed": "", "JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless}
BOTH = (HIGH, LOW)
Method = Callable[[Mammogram], object]
Resize = Callable[[NDArray[np.float32], tuple[int, int]], NDArray[np.float32]]


def plain(folder: Path) -> Method:
    """Convert with pydicom, Pillow and webdataset."""
    writers = {r: wds.ShardWriter(f"{folder}/{r}-%06d.tar", verbose=0) for r in BOTH}

    def work(row: Mammogram) -> None:
        dataset = pydicom.dcmread(row.path)
        pixels = dataset.pixel_array.astype(np.float32) * (65535 / ((1 << dataset.BitsStored) - 1))
        frame = Image.fromarray(pixels)
        for resolution, writer in writers.items():
            placement = Placement.fit(pixels.shape, resolution, False, False)
            height, width = placement.content_shape
            content = np.asarray(frame.resize((width, height), Image.Resampling.BICUBIC))
            placed = np.zeros(placement.shape, np.uint16)
            placed[placement.offset[0] :][:height, :width] = np.rint(np.clip(content, 0, 65535))
            writer.write({"__key__": row.key, "png": placed, "json": {"label": row.label}})

    return work


def floor(codec: Codec, resize: Resize) -> Method:
    """Only decode, resize twice and encode."""

    def work(row: Mammogram) -> None:
        dataset = read(row.path)
        pixels = decode(dataset, []).astype(np.float32)
        for resolution in BOTH:
            placement = Placement.fit(pixels.shape, resolution, False, False)
            scaled = np.clip(resize(pixels, placement.content_shape), 0, 65535)
            placed = np.zeros(placement.shape, np.uint16)
            content(placed, placement)[...] = np.rint(scaled, out=scaled)
            encode(placed, codec)

    return work


def torchs(pixels: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize with torch's antialiased bicubic."""
    image = torch.from_numpy(pixels)[None, None]
    scaled = torch.nn.functional.interpolate(image, shape, mode="bicubic", antialias=True)
    found: NDArray[np.float32] = scaled[0, 0].numpy()
    return found


def ours(folder: Path, codec: Codec) -> Method:
    """Convert as mammogan make-shards does."""
    folder.mkdir()
    tars = {r: wds.TarWriter(str(folder / f"{r}.tar"), mtime=0, encoder=False) for r in BOTH}
    shards = {r: OpenShard(tar, codec) for r, tar in tars.items()}

    def work(row: Mammogram) -> None:
        made = convert(Task(row, BOTH, Pseudonyms(b"benchmark"), codec=codec))
        if not isinstance(made, Converted):
            raise SystemExit(f"a phantom was left out: {made.code} {made.detail}")
        for resolution, members in made.members.items():
            shards[resolution].add(row, members, made.source_hmac)

    return work


def compressed(rows: list[Mammogram], folder: Path, syntax: Any) -> list[Mammogram]:
    """Write the same mammograms with their pixels in another transfer syntax."""
    made = []
    folder.mkdir()
    for row in rows:
        dataset = pydicom.dcmread(row.path)
        if syntax:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(folder / row.path.name)
        made.append(Mammogram(**{**vars(row), "path": folder / row.path.name}))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=11)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        table = draw_phantoms(root / "phantoms", 4)
        rows = assign(read_table(table), table.parent, Pseudonyms(b"benchmark"), 0)[: asked.images]
        print(f"{asked.images} phantoms of {DETECTOR} to {HIGH} and {LOW}, {machine(torch.device('cpu'))}")
        print("| stored as | way | ms of a core an image | plain / this | this / floor | this / own floor |")
        print("|---|---|---|---|---|---|")
        for name, syntax in SYNTAXES.items():
            folder = root / name
            made = compressed(rows, folder, syntax)
            ways: dict[str, Method] = {"plain": plain(folder)}
            for codec in CODECS:
                ways[f"ours, {codec}"] = ours(folder / codec, codec)
                ways[f"floor, {codec}"] = floor(codec, torchs)
                ways[f"own floor, {codec}"] = floor(codec, bicubic)
            report(name, ways, made, asked.rounds)


def report(stored_as: str, ways: dict[str, Method], rows: list[Mammogram], rounds: int) -> None:
    """Run all methods in turn, and print a line of the table for each."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            began = time.process_time()
            for row in rows:
                way(row)
            if turn:  # the first round only fills the caches
                taken[name].append((time.process_time() - began) / len(rows))
    for name, times in taken.items():
        gain = _ratio(taken["plain"], times)
        above = ""
        if name.startswith("ours"):
            floors = (taken[f"{way}, {name.removeprefix('ours, ')}"] for way in ("floor", "own floor"))
            above = " | ".join(f"{_ratio(times, least):.2f}" for least in floors)
        row = f"| {stored_as} | {name} | {statistics.median(times) * 1e3:.0f} | {gain:.1f} | {above or ' |'} |"
        print(row, flush=True)


def _ratio(ones: list[float], others: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))


if __name__ == "__main__":
    main()
