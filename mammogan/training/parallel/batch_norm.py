"""Batch norm over the global batch, so that Gnet learns the same on any number of ranks."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules._functions import SyncBatchNorm as TorchsFunction

from mammogan.models.networks import at_least_float32
from mammogan.training.parallel.ranks import Ranks


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """BatchNorm2d with statistics over all ranks on CPU, where torch's SyncBatchNorm does not run.

    Parameters and buffers have BatchNorm2d's names, so checkpoints are interchangeable.
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


class CudaSyncBatchNorm(nn.BatchNorm2d):
    """BatchNorm2d with statistics over all ranks on CUDA: torch's SyncBatchNorm, except that the host never waits.

    torch's version skips ranks without values, and waits in every layer for the device to report which they are. Here
    all ranks hold equally many values. Parameters and buffers have BatchNorm2d's names, so checkpoints are
    interchangeable.
    """

    def forward(self, value: Tensor) -> Tensor:
        if not self.training:
            return super().forward(value)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        normalised: Tensor = _Synchronised.apply(
            value, self.weight, self.bias, self.running_mean, self.running_var, self.eps, self.momentum
        )
        return normalised


class _Synchronised(torch.autograd.Function):
    """torch's backward pass, and its forward pass for the case that all ranks hold values."""

    @staticmethod
    def forward(
        ctx: Any,
        value: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        eps: float,
        momentum: float,
    ) -> Tensor:
        if not value.is_contiguous(memory_format=torch.channels_last):
            value = value.contiguous()
        ranks, channels = dist.get_world_size(), value.shape[1]
        own = torch.cat(torch.batch_norm_stats(value, eps))
        every = own.new_empty(ranks, len(own))
        dist.all_gather(list(every), own)
        means, inverse_deviations = every.split(channels, 1)
        counts = own.new_full((ranks,), value.numel() // channels)
        mean, inverse_deviation = torch.batch_norm_gather_stats_with_counts(
            value, means, inverse_deviations, running_mean, running_var, momentum, eps, counts.to(running_mean.dtype)
        )
        ctx.save_for_backward(value, weight, mean, inverse_deviation, counts.to(torch.int32))
        ctx.process_group = dist.group.WORLD
        return torch.batch_norm_elemt(value, weight, bias, mean, inverse_deviation, eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        towards: tuple[Tensor | None, ...] = TorchsFunction.backward(ctx, gradient)
        return towards[:7]


class _MeanOverRanks(torch.autograd.Function):
    """Mean over ranks whose gradient is also averaged over ranks; every rank holds equally many values."""

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
    """Replace the batch norms of ``network`` by ones over all ranks; with one rank it is unchanged."""
    if ranks.size == 1:
        return network
    kind = CudaSyncBatchNorm if ranks.device.type == "cuda" else CpuSyncBatchNorm
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                synced = kind(child.num_features, child.eps, child.momentum)
                synced.load_state_dict(child.state_dict())
                setattr(parent, name, synced.to(child.weight.dtype))
    return network
