"""Serve batches of paired mammograms for training, in an order that only (seed, epoch) determines.

The shards' members are read by their offset, so every epoch is a full shuffle. Its order is the same for any number of
ranks, and a resumed run can continue at any batch.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from mammogan.data.loading.waiting import timed
from mammogan.data.shards.damage import DamagedSample, UnreadSample
from mammogan.data.shards.reader import ShardImages
from mammogan.errors import NotStarted, UserError


class _Pairs(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, first: ShardImages, second: ShardImages) -> None:
        self.first, self.second = first, second

    def __getitem__(self, pair: tuple[int, int]) -> tuple[Tensor, Tensor]:
        return self.first[pair[0]], self.second[pair[1]]


class _EpochBatches(Sampler[list[tuple[int, int]]]):
    """The batches of the current epoch from ``start`` on; the DataLoader requests them again for every epoch."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class PairedStream:
    """Batches of N mammograms of one label and N of another (study, section 2), divided over the ranks.

    ``pairs`` is N. An epoch has ``batches`` batches, by default max(#first, #second) // N; both labels are shuffled and
    repeated as often as needed. Raises UserError when N cannot be divided over the ranks, and when there are too few
    mammograms for one batch.
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
        if workers:
            _refuse_without_shared_memory()
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
        """Yield this rank's share of the batches from ``start`` on: two uint16 tensors (N/ranks,1,H,W) each."""
        first, second = (
            epoch_order(n, self.batches * self.pairs, (self.seed, epoch, i)) for i, n in enumerate(self.sizes)
        )
        lows = [b * self.pairs + self.rank * self.share for b in range(start, self.batches)]
        self._sampler.batches = [
            list(zip(first[low : low + self.share], second[low : low + self.share], strict=True)) for low in lows
        ]
        try:
            yield from timed(self._begin())
        except (DamagedSample, UnreadSample) as error:  # from a worker it comes with the worker's traceback in its text
            kind = type(error)
            raise kind(str(error).rpartition(f"{kind.__name__}: ")[2].strip()) from None

    def _begin(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Begin an epoch, the first with the start of the workers. Raises NotStarted if the system starts no more."""
        try:
            return iter(self._loader)
        except (OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "start new thread" not in str(error):  # such as a worker's end
                raise
            _let_end(error)
            raise NotStarted(error) from error


def _let_end(error: Exception) -> None:
    """Let the workers end of which ``error`` stopped the start: torch relies on values that it had not set by then, and
    would print a traceback of its own."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        workers = frame.f_locals.get("self")
        if isinstance(workers, _MultiProcessingDataLoaderIter):
            vars(workers).setdefault("_shutdown", True)
            workers._workers_status = [True] * len(vars(workers).get("_workers", ()))


def epoch_order(size: int, length: int, seed: tuple[int, ...]) -> list[int]:
    """Return ``length`` indices below ``size``: one permutation after another, determined by ``seed``."""
    random = np.random.default_rng(seed)
    order: list[int] = []
    while len(order) < length:
        order.extend(random.permutation(size).tolist())
    return order[:length]


def _refuse_without_shared_memory() -> None:
    """Raise UserError where processes cannot share memory: torch's loader would fail with errors that name no cause."""
    try:
        multiprocessing.Lock()
    except OSError as error:
        raise UserError(
            f"loader workers share memory in /dev/shm, which cannot be used here ({error.strerror}): give "
            "--compute.loader-workers 0, or a container with /dev/shm"
        ) from error


def _ignore_preemption(worker: int) -> None:
    """Ignore SIGUSR2 in a worker: forked, it inherits submitit's handler and would requeue the job by itself."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    torch.set_num_threads(1)
