"""Shards back into mammograms: a sequential reader, random access, and the paired stream that trainings read.

Training reads members by their offset, so that the order of an epoch is a full shuffle which (seed, epoch) alone
determines: it is the same for any number of ranks, and a resumed run continues at any batch.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import webdataset as wds
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mammogan.config import Label, UserError
from mammogan.data.codec import MEMBER, decode
from mammogan.data.index import IndexedSample, fingerprint, refuse_outside, with_places
from mammogan.files import read_json

OPEN_AT_ONCE = 128
"""Shards of one split and label that a process keeps open: systems allow 1024 files, for all that it reads."""


@dataclass(frozen=True)
class Sample:
    """One mammogram of a shard: key, uint16 pixels (H,W), and the facts of its JSON member."""

    key: str
    pixels: NDArray[np.uint16]
    facts: dict[str, Any]


def shards_fingerprint(folder: Path) -> str:
    """One sha256 for all tars of a finished folder, whenever and by whatever version they were made."""
    return fingerprint((shard["name"], shard["sha256"]) for shard in read_json(folder / "index.json")["shards"])


def read_shard(shard: Path) -> Iterator[Sample]:
    """All samples of one tar in order, through webdataset, whose own image decoders would cut to 8 bits."""
    files = wds.SimpleShardList([str(shard)])
    raw = wds.DataPipeline(files, wds.tarfile_to_samples())
    for sample in raw:
        kind = next((kind for kind in MEMBER.values() if kind in sample), "pixels")
        yield Sample(sample["__key__"], decode(sample[kind]), json.loads(sample["json"]))


def read_sample(shard: Path, at: IndexedSample) -> Sample:
    """One sample of a tar by its place in the index, without reading the others."""
    with open(shard, "rb") as file:
        return Sample(at.key, read_pixels(file, at), read_facts(file, at))


def read_pixels(tar: BinaryIO, at: IndexedSample) -> NDArray[np.uint16]:
    """The pixels of a sample, uint16 (H,W). ValueError, or whatever damaged bytes make a decoder raise."""
    tar.seek(at.pixels_offset)
    return decode(tar.read(at.pixels_size))


def read_facts(tar: BinaryIO, at: IndexedSample) -> dict[str, Any]:
    """The JSON member of a sample."""
    tar.seek(at.json_offset)
    facts: dict[str, Any] = json.loads(tar.read(at.json_size))
    return facts


@dataclass(frozen=True)
class Member:
    """Where one sample's pixels lie."""

    shard: str
    key: str
    offset: int
    size: int


class ShardImages(Dataset[Tensor]):
    """Random access to the mammograms of one split and label: index -> uint16 (1,H,W), in the cohort's order."""

    def __init__(self, folder: Path, split: str, label: Label) -> None:
        self.folder = folder
        self.members = [
            Member(shard["name"], sample["key"], sample["pixels_offset"], sample["pixels_size"])
            for shard in read_json(folder / "index.json")["shards"]
            if shard["split"] == split and shard["label"] == label
            for sample in map(with_places, shard["samples"])
        ]
        self._open: dict[str, int] = {}
        self._owner = os.getpid()
        for member in self.members:
            refuse_outside(member.shard)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> Tensor:
        member = self.members[index]
        encoded = os.pread(self._descriptor(member.shard), member.size, member.offset)
        if len(encoded) != member.size:
            raise ValueError(f"{member.shard} is shorter than its index says; run shards/check_shards.py")
        return torch.from_numpy(decode(encoded))[None]

    def _descriptor(self, shard: str) -> int:
        if self._owner != os.getpid():  # a forked worker must not share the parent's descriptors
            self._open, self._owner = {}, os.getpid()
        descriptor = self._open.pop(shard, None)
        self._open[shard] = os.open(self.folder / shard, os.O_RDONLY) if descriptor is None else descriptor
        if len(self._open) > OPEN_AT_ONCE:
            os.close(self._open.pop(next(iter(self._open))))  # the one that was not read from for longest
        return self._open[shard]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}, "_owner": -1}

    def __del__(self) -> None:
        if self._owner == os.getpid():
            for descriptor in self._open.values():
                os.close(descriptor)


class _Pairs(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, first: ShardImages, second: ShardImages) -> None:
        self.first, self.second = first, second

    def __getitem__(self, pair: tuple[int, int]) -> tuple[Tensor, Tensor]:
        return self.first[pair[0]], self.second[pair[1]]


class _EpochBatches(Sampler[list[tuple[int, int]]]):
    """The batches of the current epoch from ``start`` on; a DataLoader asks for them anew at every epoch."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class PairedStream:
    """Batches of N mammograms of one label and N of another (study, section 2), divided over the ranks.

    An epoch is ``batches``, by default max(#first, #second) // N; both are shuffled, and repeated as often as needed.
    """

    def __init__(
        self,
        first: ShardImages,
        second: ShardImages,
        pairs: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        workers: int = 0,
        batches: int | None = None,
        pin: bool = False,
    ) -> None:
        if pairs % ranks:
            legal = [n for n in range(1, pairs + 1) if pairs % n == 0]
            raise UserError(
                f"{pairs} pairs a batch cannot be divided over {ranks} ranks; use {legal} ranks, or another --pairs"
            )
        self.sizes = (len(first), len(second))
        self.pairs, self.seed, self.rank, self.share = pairs, seed, rank, pairs // ranks
        self.batches = max(self.sizes) // pairs if batches is None else batches
        if min(self.sizes) == 0 or self.batches == 0:
            raise UserError(
                f"a batch needs {pairs} mammograms of each label; the training split holds "
                f"{self.sizes[0]} and {self.sizes[1]}"
            )
        self._sampler = _EpochBatches()
        self._loader = DataLoader(
            _Pairs(first, second),
            batch_sampler=self._sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin,
            worker_init_fn=_ignore_preemption if workers else None,
        )

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """This rank's share of the batches ``start``, ``start``+1, ... : two uint16 tensors (N/ranks,1,H,W)."""
        first, second = (
            epoch_order(n, self.batches * self.pairs, (self.seed, epoch, i)) for i, n in enumerate(self.sizes)
        )
        lows = [b * self.pairs + self.rank * self.share for b in range(start, self.batches)]
        self._sampler.batches = [
            list(zip(first[low : low + self.share], second[low : low + self.share], strict=True)) for low in lows
        ]
        yield from self._loader


def epoch_order(size: int, length: int, seed: tuple[int, ...]) -> list[int]:
    """``length`` indices below ``size``: permutation after permutation, determined by ``seed``."""
    random = np.random.default_rng(seed)
    order: list[int] = []
    while len(order) < length:
        order.extend(random.permutation(size).tolist())
    return order[:length]


def _ignore_preemption(worker: int) -> None:
    """A forked worker inherits submitit's handler and would requeue the job by itself."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    torch.set_num_threads(1)
