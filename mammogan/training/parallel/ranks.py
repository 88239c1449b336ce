"""Ranks: joining them, deciding together, averaging. It uses torchrun's environment and knows no scheduler."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mammogan.errors import UserError

_NEW_NAME = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters  # from torch 2.13 on
_NO_BROADCAST: dict[str, Any] = {"forward_sync_buffers" if _NEW_NAME else "broadcast_buffers": False}
_ENDED: list[Any] = []
"""Process groups that were left, kept alive on purpose.

Freeing a group waits for gloo's thread while holding Python's lock (GIL); after an exchange that thread may be waiting
for the same lock, a deadlock.
"""


SECONDS_TO_SETTLE = 0.2
"""Time for gloo's threads to free what their last exchange held. They need Python's lock for it: if Python is ending by
then, the whole process aborts, after all its work is done."""


@dataclass(frozen=True)
class Ranks:
    """This process among all processes of the training."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a tensor, detached, over the ranks."""
        return self._reduced(value.detach().clone(), dist.ReduceOp.SUM) / self.size if self.size > 1 else value.detach()

    def any(self, flag: bool) -> bool:
        """Return True on all ranks if the flag is True on any."""
        return bool(self.highest(int(flag)))

    def highest(self, value: int) -> int:
        """Return the highest of all ranks' small integers, on every rank.

        The hosts exchange them, without waiting for a GPU.
        """
        if self.size == 1:
            return value
        return int(self._reduced(torch.tensor(value), dist.ReduceOp.MAX).item())

    def gather(self, value: Any) -> list[Any]:
        """Return the picklable values of all ranks, in rank order, on every rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def own_part(self, parts: list[Any]) -> Tensor:
        """Return this rank's part of what ``gather`` once returned, or the mean if the number of ranks has changed."""
        every = torch.tensor(parts, dtype=torch.float64)
        return every[self.rank] if len(parts) == self.size else every.mean(0)

    def agree(self, place: tuple[int, ...]) -> None:
        """Raise RuntimeError if the ranks resumed from different places, which a lagging file system can cause."""
        places = self.gather(place)
        if len(set(places)) > 1:
            raise RuntimeError(f"the ranks read different checkpoints: {places}. Start again; is the folder shared?")

    def wait(self) -> None:
        """Wait until all ranks have reached this call."""
        if self.size > 1:
            dist.barrier()

    def wrap(self, step: nn.Module) -> nn.Module:
        """Wrap ``step``, a module that computes a loss, so that its gradients are averaged over the ranks.

        Wrap again whenever requires_grad changes: weights that are frozen when wrapped are never averaged. Buffers are
        not broadcast, since synchronised batch norm keeps them equal.
        """
        if self.size == 1:
            return step
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(step, device_ids=devices, gradient_as_bucket_view=True, **_NO_BROADCAST)

    @staticmethod
    def _reduced(value: Tensor, how: Any) -> Tensor:
        dist.all_reduce(value, op=how)
        return value


@contextmanager
def joined(device: str = "auto") -> Iterator[Ranks]:
    """Join the ranks given by torchrun's variables, or run as a single process if there are none.

    The variables are RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. A rank that cannot join raises an
    error: training separate models by mistake would be worse than not training.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen = choose_device(device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
        torch.backends.cudnn.benchmark = True
    if size == 1:
        yield Ranks(0, 1, chosen)
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", rank=rank, world_size=size)
    try:
        yield Ranks(rank, size, chosen)
    finally:
        _ENDED.append(dist.group.WORLD)
        dist.destroy_process_group()
        time.sleep(SECONDS_TO_SETTLE)


def choose_device(device: str) -> torch.device:
    """Return this process's device for 'auto', 'cpu' or 'cuda'; of several visible GPUs, number LOCAL_RANK.

    Raises UserError for 'cuda' without a GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda was requested, but torch sees no GPU here; use cpu or auto")
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", local_rank if torch.cuda.device_count() > 1 else 0)
