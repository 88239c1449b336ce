"""Batch norm over the global batch, so that Gnet learns the same on any number of ranks."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mammogan.models.networks import at_least_float32
from mammogan.training.distributed import Ranks


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """BatchNorm2d with statistics over all ranks, for CPU, where torch's SyncBatchNorm refuses to run.

    Parameters and buffers are named as BatchNorm2d's, so checkpoints interchange.
    """

    def forward(self, value: Tensor) -> Tensor:
        if not self.training:
            return super().forward(value)
        wide = at_least_float32(value)
        count = value.numel() // value.shape[1]
        ranks = dist.get_world_size()
        mean = _MeanOverRanks.apply(wide.mean((0, 2, 3)))
        centred = wide - mean.view(1, -1, 1, 1)
        variance = _MeanOverRanks.apply(centred.square().mean((0, 2, 3)))
        self._track(mean.detach(), variance.detach(), count * ranks)
        factor = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * factor.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(value.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            raise RuntimeError("CpuSyncBatchNorm needs running statistics")
        momentum = self.momentum or 0.0
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * count / (count - 1), momentum)


class _MeanOverRanks(torch.autograd.Function):
    """Mean over ranks whose gradient is the mean over ranks too; every rank holds equally many values."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return _mean(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _mean(gradient)


def _mean(value: Tensor) -> Tensor:
    total = value.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total / dist.get_world_size()


def synchronise_batch_norm(network: nn.Module, ranks: Ranks) -> nn.Module:
    """``network`` with its batch norms over all ranks: torch's own on CUDA, ours on CPU; unchanged for one rank."""
    if ranks.size == 1:
        return network
    if ranks.device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                synced = CpuSyncBatchNorm(child.num_features, child.eps, child.momentum)
                synced.load_state_dict(child.state_dict())
                setattr(parent, name, synced.to(child.weight.dtype))
    return network
