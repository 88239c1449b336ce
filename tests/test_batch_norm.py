"""Batch norm over ranks on CPU is batch norm."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn

from mammogan.training.batch_norm import CpuSyncBatchNorm


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
