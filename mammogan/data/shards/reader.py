"""Read samples from shards: one by one, all samples of a tar file, or as a torch Dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from webdataset.tariterators import group_by_keys, tar_file_expander

from mammogan.data.shards.codec import MEMBER, decode
from mammogan.data.shards.damage import naming, opened
from mammogan.data.shards.facts import parse_facts as parse_facts
from mammogan.data.shards.facts import read_facts as read_facts
from mammogan.data.shards.index import IndexedSample, ShardIndex
from mammogan.workspace import Label

OPEN_AT_ONCE = 128
"""Shards of one split and label that a process keeps open; systems allow a process 1024 open files in all."""
HEADER_BYTES, NAME_BYTES, MAGIC, MAGIC_AT = 512, 100, b"ustar", 257
"""Size of a tar header, which ends where the member's content begins, and of the name at its beginning; what says
that it is one."""


@dataclass(frozen=True)
class Sample:
    """One mammogram of a shard: its key, uint16 pixels (H,W), and the facts of its JSON member."""

    key: str
    pixels: NDArray[np.uint16]
    facts: dict[str, Any]


def shards_fingerprint(folder: Path) -> str:
    """Compute one sha256 for all tars of a finished folder; when and by which version they were made has no effect."""
    return ShardIndex.load(folder).fingerprint


class Digest(Protocol):
    """A hash that is being computed, as of hashlib."""

    def update(self, data: bytes, /) -> None: ...


class _Hashed:
    """A file that updates a digest with all bytes that are read from it."""

    def __init__(self, file: BinaryIO, digest: Digest | None) -> None:
        self.file, self.digest = file, digest

    def read(self, size: int) -> bytes:
        found = self.file.read(size)
        if self.digest:
            self.digest.update(found)
        return found


def read_shard(shard: Path, digest: Digest | None = None) -> Iterator[Sample]:
    """Yield all samples of one tar in order, read with webdataset but not decoded by it, which would cut to 8 bits.

    At the end, ``digest`` has been updated with all bytes of the file.
    """
    with open(shard, "rb") as file:
        stream = _Hashed(file, digest)
        for sample in group_by_keys(tar_file_expander([{"url": str(shard), "stream": stream}])):
            kind = next((kind for kind in MEMBER.values() if kind in sample), "pixels")
            yield Sample(sample["__key__"], decode(sample[kind]), parse_facts(sample["json"]))
        while stream.read(1 << 20):  # what follows the last member
            pass


def read_sample(shard: Path, at: IndexedSample) -> Sample:
    """Read one sample of a tar at its position in the index, without reading the others. Raises DamagedSample."""
    with opened(shard) as file, naming(shard, at.key):
        return Sample(at.key, read_pixels(file, at), read_facts(file, at))


def read_pixels(tar: BinaryIO, at: IndexedSample) -> NDArray[np.uint16]:
    """Read the pixels of a sample, uint16 (H,W). Damaged bytes raise ValueError or any error of a decoder."""
    tar.seek(at.pixels_offset)
    return decode(tar.read(at.pixels_size))


@dataclass(frozen=True)
class Member:
    """The position of one sample's pixels: the shard's file name, offset and size in bytes."""

    shard: str
    key: str
    offset: int
    size: int

    def content(self, header_and_content: bytes) -> bytes:
        """Return the member's bytes after its tar header. Raises ValueError if the header names another member, as in a
        tar that was put in the place of another, or if there are too few bytes."""
        name = header_and_content[:NAME_BYTES].partition(b"\0")[0].decode(errors="replace")
        if len(header_and_content) != HEADER_BYTES + self.size:
            raise ValueError("the file is shorter than its index says")
        if name.partition(".")[0] != self.key:
            is_header = header_and_content[MAGIC_AT : MAGIC_AT + len(MAGIC)] == MAGIC and name.isprintable()
            raise ValueError(f"found {repr(name) if is_header else 'other bytes'} in its place")
        return header_and_content[HEADER_BYTES:]


class ShardImages(Dataset[Tensor]):
    """Random access to the mammograms of one split and label: index -> uint16 (1,H,W), in the cohort's order.

    Each reading checks that the tar has this sample's pixels there, and their checksum (zstd, PNG); the tar's sha256 is
    not computed, since only parts of it are read. Raises DamagedSample.
    """

    def __init__(self, folder: Path, split: str, label: Label) -> None:
        self._open: dict[str, int] = {}
        self._owner = os.getpid()
        self.folder = folder
        index = ShardIndex.load(folder)
        self.shape = (index.resolution.height, index.resolution.width)
        own = [shard for shard in index.of_split(split) if shard.label == label]
        self.members = [
            Member(shard.name, sample.key, sample.pixels_offset, sample.pixels_size)
            for shard in own
            for sample in shard.samples
        ]
        self.patients = [sample.patient for shard in own for sample in shard.samples]

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> Tensor:
        member = self.members[index]
        with naming(self.folder / member.shard, member.key):
            file = self._descriptor(member.shard)
            found = os.pread(file, HEADER_BYTES + member.size, max(0, member.offset - HEADER_BYTES))
            pixels = decode(member.content(found))
            if pixels.shape != self.shape:
                raise ValueError(f"expected pixels of {self.shape}, found {pixels.shape}")
            return torch.from_numpy(pixels)[None]

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
