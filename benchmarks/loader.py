"""Measures how many mammograms per second a loader process reads, compared with a plain webdataset loader.

    python benchmarks/loader.py                         phantoms at 1024x832, about a minute
    python benchmarks/loader.py --size 1728x1408 --rounds 15

The plain method is webdataset, PNGs read by Pillow, and floats. Shards of the same phantoms are made in a temporary
folder, in both codecs. Every round runs all methods in turn, on equally many mammograms, in this process with one
thread. Figures are medians over the rounds, and the ratio is the median of the rounds' ratios, so other work on the
machine affects all methods equally. Our streams return 16-bit tensors, which become floats on the training's device;
"as floats" includes this conversion, as the plain method does. Before any timing, all methods must return the same
pixels.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import webdataset as wds
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from measuring import machine, seconds
from phantoms import draw_phantoms

from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.loading.pairs import PairedStream
from mammogan.data.shards.codec import CODECS
from mammogan.data.shards.reader import ShardImages
from mammogan.workspace import Resolution, Workspace

PAIRS = 4
CPU = torch.device("cpu")
PLAIN = "plain: webdataset, Pillow, floats"
Method = Callable[[], Iterator[Tensor]]


def plain(folder: Path) -> Method:
    """Read one after the other, as webdataset documents it; Pillow decodes, since webdataset itself cuts to 8 bits."""

    def to_float(sample: dict[str, bytes]) -> Tensor:
        image = np.array(Image.open(io.BytesIO(sample["png"])), dtype=np.float32)
        return torch.from_numpy(image)[None] / 65535

    tars = sorted(str(tar) for tar in folder.glob("*.tar"))
    dataset = wds.WebDataset(tars, shardshuffle=False).map(to_float)
    return lambda: iter(DataLoader(dataset, batch_size=2 * PAIRS))


def ours(folder: Path, batches: int | None = None) -> Method:
    """Read with the stream of pairs that the trainings use."""
    stream = PairedStream(
        ShardImages(folder, "train", "positive"), ShardImages(folder, "train", "negative"), PAIRS, 0, batches=batches
    )
    return lambda: (side for pair in stream.epoch(0) for side in pair)


def as_floats(way: Method) -> Method:
    """Return the same method with its batches converted to floats."""
    return lambda: (batch.float().div_(65535) for batch in way())


def read(way: Method) -> int:
    """Read everything, and return the number of mammograms."""
    return sum(len(batch) for batch in way())


def pixel_sets(way: Method) -> set[bytes]:
    """Return the different mammograms that a method reads, as bytes of 16-bit pixels."""
    found = set()
    for batch in way():
        exact = (batch * 65535).round() if batch.is_floating_point() else batch
        found |= {image.numpy().astype(np.uint16).tobytes() for image in exact}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=Resolution.parse, default=Resolution.parse("1024x832"))
    parser.add_argument("--patients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=21)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        table = draw_phantoms(Path(temporary) / "phantoms", asked.patients)
        folders = {}
        for codec in CODECS:
            workspace = Workspace(Path(temporary) / codec)
            convert_cohort(table, workspace, [asked.size], codec=codec, salt_file=Path(temporary) / "salt")
            folders[codec] = workspace.shards(asked.size)
        ways = {PLAIN: plain(folders["png"])}
        for codec in CODECS:
            ways[f"ours, {codec}"] = ours(folders[codec])
            ways[f"ours, {codec}, as floats"] = as_floats(ours(folders[codec]))
        reference = pixel_sets(ways[PLAIN])
        for name, way in ways.items():
            if not pixel_sets(way) <= reference:
                raise SystemExit(f"{name}: other pixels than the plain way")
        bytes_each = {codec: _bytes_of_an_image(folders[codec]) for codec in CODECS}
        report(ways, asked.rounds, asked.size, bytes_each)


def report(ways: dict[str, Method], rounds: int, size: Resolution, bytes_each: dict[str, float]) -> None:
    """Time all methods in turn, and print the table."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            counted: list[int] = []
            whole = seconds(lambda way=way, counted=counted: counted.append(read(way)), CPU)  # type: ignore[misc]
            taken[name].append(whole / counted[0])
    print(f"{size}, {machine(CPU)}, {rounds} rounds")
    for codec, held in bytes_each.items():
        print(f"{codec}: {held / 1e6:.2f} MB an image")
    print("| way | images/s | times the plain way | in 80% of the rounds |\n|---|---|---|---|")
    for name, times in taken.items():
        ratios = sorted(base / time for base, time in zip(taken[PLAIN], times, strict=True))
        low, high = ratios[rounds // 10], ratios[-1 - rounds // 10]
        print(
            f"| {name} | {1 / statistics.median(times):.0f} | {statistics.median(ratios):.1f} | {low:.1f}-{high:.1f} |"
        )


def _bytes_of_an_image(folder: Path) -> float:
    images = [ShardImages(folder, "train", label) for label in ("positive", "negative")]  # type: ignore[arg-type]
    return statistics.mean(member.size for side in images for member in side.members)


if __name__ == "__main__":
    main()
