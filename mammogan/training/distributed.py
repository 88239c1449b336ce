"""Ranks: joining them, deciding together, averaging. Knows torchrun's environment and nothing of any scheduler."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mammogan.config import UserError

_NEW_NAME = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters  # from torch 2.13 on
_NO_BROADCAST: dict[str, Any] = {"forward_sync_buffers" if _NEW_NAME else "broadcast_buffers": False}
_ENDED: list[Any] = []
"""Groups that were left. To free one is to wait, with Python's lock held, for gloo's thread, which may just then, after
an exchange, be waiting for that lock: both would wait for ever."""


@dataclass(frozen=True)
class Ranks:
    """This process among its equals."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the ranks of a detached tensor."""
        return self._reduced(value.detach().clone(), dist.ReduceOp.SUM) / self.size if self.size > 1 else value.detach()

    def any(self, flag: bool) -> bool:
        """True everywhere when it is true anywhere."""
        return bool(self.highest(int(flag)))

    def highest(self, value: int) -> int:
        """The highest of all ranks' small numbers, everywhere. The hosts exchange them: no GPU is waited for."""
        if self.size == 1:
            return value
        return int(self._reduced(torch.tensor(value), dist.ReduceOp.MAX).item())

    def gather(self, value: Any) -> list[Any]:
        """Everyone's picklable value, in rank order, on every rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def own_part(self, parts: list[Any]) -> Tensor:
        """This rank's of the parts that ``gather`` once gave, or their mean when there are now more or fewer ranks."""
        every = torch.tensor(parts, dtype=torch.float64)
        return every[self.rank] if len(parts) == self.size else every.mean(0)

    def agree(self, place: tuple[int, ...]) -> None:
        """RuntimeError when the ranks have resumed from different places, as a lagging file system makes them."""
        places = self.gather(place)
        if len(set(places)) > 1:
            raise RuntimeError(f"the ranks read different checkpoints: {places}. Start again; is the folder shared?")

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()

    def wrap(self, step: nn.Module) -> nn.Module:
        """``step``, a module that computes a loss, with gradients averaged over the ranks.

        Wrap anew whenever requires_grad changes: what is frozen when it is wrapped is never averaged. Buffers are not
        broadcast: synchronised batch norm keeps them equal.
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
    """Join the ranks of torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), or be alone.

    A rank that cannot join raises: training separate models by mistake is worse than not training.
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


def choose_device(device: str) -> torch.device:
    """'auto', 'cpu' or 'cuda' as this process's device: of several visible GPUs the one numbered LOCAL_RANK."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("cuda was asked for as device, and torch sees no GPU here; use cpu or auto")
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", local_rank if torch.cuda.device_count() > 1 else 0)
