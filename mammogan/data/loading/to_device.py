"""Copy a tensor from the host to a device without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor


def onto(value: Tensor, device: torch.device) -> Tensor:
    """Copy ``value`` to ``device`` from pinned memory, so that the host continues at once.

    A plain ``.to(device)`` from ordinary memory waits until the GPU has finished all work queued before.
    """
    source = value.pin_memory() if device.type == "cuda" and value.device.type == "cpu" else value
    return source.to(device, non_blocking=True)
