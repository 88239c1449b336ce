"""From the host's memory to a device without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor


def onto(value: Tensor, device: torch.device) -> Tensor:
    """``value`` on ``device``. The host goes on at once: a GPU copies from pinned memory when it comes to it.

    A plain ``.to(device)`` from ordinary memory waits until the GPU has done all that was asked of it before.
    """
    source = value.pin_memory() if device.type == "cuda" and value.device.type == "cpu" else value
    return source.to(device, non_blocking=True)
