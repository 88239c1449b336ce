"""Batch norm over ranks is batch norm."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn

from mammogan.training.parallel.batch_norm import CpuSyncBatchNorm, CudaSyncBatchNorm


@pytest.fixture
def one_rank() -> Iterator[None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_on_one_rank_it_equals_torchs(one_rank: None, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    wide = torch.float32 if dtype == torch.bfloat16 else dtype
    ours, theirs = CpuSyncBatchNorm(3).to(wide), nn.BatchNorm2d(3).to(wide)
    value = torch.randn(2, 3, 5, 4).to(dtype)
    mine, yours = value.clone().requires_grad_(True), value.clone().requires_grad_(True)
    out, expected = ours(mine), theirs(yours.to(wide)).to(dtype)
    assert out.dtype == dtype
    torch.testing.assert_close(out, expected)
    weight = torch.randn(2, 3, 5, 4).to(dtype)
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(mine.grad, yours.grad)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    ours.eval()
    theirs.eval()
    torch.testing.assert_close(ours(value.to(wide)), theirs(value.to(wide)))


@pytest.fixture
def kernels_of_cuda() -> Iterator[None]:
    """The five operations that torch has for CUDA alone, in plain ones for CPU."""
    library = torch.library.Library("aten", "IMPL", "CPU")

    def shaped(value: torch.Tensor) -> torch.Tensor:
        return value.view(1, -1, 1, 1)

    def stats(value: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
        variance, mean = torch.var_mean(value, (0, 2, 3), correction=0)
        return mean, torch.rsqrt(variance + eps)

    def gather(
        value: torch.Tensor,
        means: torch.Tensor,
        inverse: torch.Tensor,
        running_mean: torch.Tensor,
        running_var: torch.Tensor,
        momentum: float,
        eps: float,
        counts: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        share, whole = (counts / counts.sum()).view(-1, 1), float(counts.sum())
        mean = (share * means).sum(0)
        variance = (share * (inverse**-2 - eps + (means - mean) ** 2)).sum(0)
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(variance * whole / (whole - 1), momentum)
        return mean, torch.rsqrt(variance + eps)

    def normalise(value, weight, bias, mean, inverse, eps):  # type: ignore[no-untyped-def]
        return (value - shaped(mean)) * shaped(inverse * weight) + shaped(bias)

    def reduce(gradient, value, mean, inverse, weight, *wanted):  # type: ignore[no-untyped-def]
        along = gradient.sum((0, 2, 3))
        centred = (gradient * (value - shaped(mean))).sum((0, 2, 3))
        return along, centred, centred * inverse, along

    def pull(gradient, value, mean, inverse, weight, along, centred, counts):  # type: ignore[no-untyped-def]
        along, centred = shaped(along / counts.sum()), shaped(centred / counts.sum() * inverse**2)
        return (gradient - along - (value - shaped(mean)) * centred) * shaped(inverse * weight)

    for name, kernel in {
        "stats": stats,
        "gather_stats_with_counts": gather,
        "elemt": normalise,
        "backward_reduce": reduce,
        "backward_elemt": pull,
    }.items():
        library.impl(f"batch_norm_{name}", kernel)
    yield
    library._destroy()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_one_for_cuda_equals_torchs_with_the_kernels_it_has_there(
    one_rank: None, kernels_of_cuda: None, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    ours, theirs = CudaSyncBatchNorm(3).double(), nn.BatchNorm2d(3).double()
    for norm in (ours, theirs):
        nn.init.constant_(norm.weight, 1.5)
    value = torch.randn(2, 3, 5, 4, dtype=torch.float64).to(memory_format=layout)
    mine, yours = value.clone().requires_grad_(True), value.clone().requires_grad_(True)
    weight = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    out, expected = ours(mine), theirs(yours)
    torch.testing.assert_close(out, expected)
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(mine.grad, yours.grad)
    for (name, found), wanted in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(found.grad, wanted.grad, msg=name)
    for (name, kept), wanted in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(kept, wanted, msg=name)
    torch.testing.assert_close(ours.eval()(value), theirs.eval()(value))
