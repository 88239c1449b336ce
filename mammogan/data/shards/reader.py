"""Read samples from shards: one by one, all samples of a tar file, or as a torch Dataset."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import webdataset as wds
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mammogan.data.shards.codec import MEMBER, decode
from mammogan.data.shards.index import IndexedSample, fingerprint, refuse_outside, with_places
from mammogan.io.atomic import read_json
from mammogan.workspace import Label

OPEN_AT_ONCE = 128
"""Shards of one split and label that a process keeps open; systems allow a process 1024 open files in all."""


@dataclass(frozen=True)
class Sample:
    """One mammogram of a shard: its key, uint16 pixels (H,W), and the facts of its JSON member."""

    key: str
    pixels: NDArray[np.uint16]
    facts: dict[str, Any]


def shards_fingerprint(folder: Path) -> str:
    """Compute one sha256 for all tars of a finished folder; when and by which version they were made has no effect."""
    return fingerprint((shard["name"], shard["sha256"]) for shard in read_json(folder / "index.json")["shards"])


def read_shard(shard: Path) -> Iterator[Sample]:
    """Yield all samples of one tar in order, read with webdataset but not decoded by it, which would cut to 8 bits."""
    files = wds.SimpleShardList([str(shard)])
    raw = wds.DataPipeline(files, wds.tarfile_to_samples())
    for sample in raw:
        kind = next((kind for kind in MEMBER.values() if kind in sample), "pixels")
        yield Sample(sample["__key__"], decode(sample[kind]), json.loads(sample["json"]))


def read_sample(shard: Path, at: IndexedSample) -> Sample:
    """Read one sample of a tar at its position in the index, without reading the others."""
    with open(shard, "rb") as file:
        return Sample(at.key, read_pixels(file, at), read_facts(file, at))


def read_pixels(tar: BinaryIO, at: IndexedSample) -> NDArray[np.uint16]:
    """Read the pixels of a sample, uint16 (H,W). Damaged bytes raise ValueError or any error of a decoder."""
    tar.seek(at.pixels_offset)
    return decode(tar.read(at.pixels_size))


def read_facts(tar: BinaryIO, at: IndexedSample) -> dict[str, Any]:
    """Read the JSON member of a sample."""
    tar.seek(at.json_offset)
    facts: dict[str, Any] = json.loads(tar.read(at.json_size))
    return facts


@dataclass(frozen=True)
class Member:
    """The position of one sample's pixels: the shard's file name, offset and size in bytes."""

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
            raise ValueError(f"{member.shard} is shorter than its index says; run mammogan check-shards")
        return torch.from_numpy(decode(encoded))[None]

    def _descriptor(self, shard: str) -> int:
        if self._owner != os.getpid():  # a forked worker must not share the parent's descriptors
            self._open, self._owner = {}, os.getpid()
        descriptor = self._open.pop(shard, None)
        self._open[shard] = os.open(self.folder / shard, os.O_RDONLY) if descriptor is None else descriptor
        if len(self._open) > OPEN_AT_ONCE:
            os.close(self._open.pop(next(iter(self._open))))  # the least recently read shard
        return self._open[shard]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}, "_owner": -1}

    def __del__(self) -> None:
        if self._owner == os.getpid():
            for descriptor in self._open.values():
                os.close(descriptor)
