"""Means of an epoch's figures over batches and ranks; they survive a restart in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mammogan.training.parallel.ranks import Ranks

TOTAL = "loss"
"""What a step returns to be differentiated. Its parts are logged, not the sum."""


class EpochMeans:
    """Sums of every figure that a step returns, and the number of batches that had each figure.

    A figure is a scalar tensor under a name of its own: a new term of a loss is averaged over batches and ranks, and
    logged, as soon as its step returns it. ``names`` are those that checkpoints of version 0.1 have, in their order.
    """

    def __init__(self, names: Sequence[str], ranks: Ranks) -> None:
        self.names, self.ranks = list(names), ranks
        self.sums = torch.zeros(len(names), 2, dtype=torch.float64, device=ranks.device)

    def add(self, figures: dict[str, Tensor], taken: Tensor) -> None:
        """Add one batch's figures if its step was taken, without waiting for the device."""
        self._make_room([name for name in figures if name not in (TOTAL, *self.names)])
        for row, name in enumerate(self.names):
            if name in figures:
                self.sums[row] += torch.stack([figures[name].detach().double(), self.sums.new_ones(())]).where(taken, 0)

    def means(self) -> dict[str, float]:
        """Return the means over all ranks of the figures that this epoch has."""
        sums = self.ranks.mean(self.sums).tolist()
        return {name: total / count for name, (total, count) in zip(self.names, sums, strict=True) if count}

    def clear(self) -> None:
        self.sums.zero_()

    def state(self) -> dict[str, Any]:
        """Return the names, and the sums of all ranks. All ranks must call it together."""
        return {"names": list(self.names), "sums": self.ranks.gather(self.sums.tolist())}

    def restore(self, state: Any) -> None:
        """Take the sums of a checkpoint; version 0.1 had them without names."""
        recorded = state if isinstance(state, dict) else {"names": self.names, "sums": state}
        self._make_room([name for name in recorded["names"] if name not in self.names])
        for name, row in zip(recorded["names"], self.ranks.own_part(recorded["sums"]), strict=True):
            self.sums[self.names.index(name)] = row.to(self.sums)

    def _make_room(self, names: Sequence[str]) -> None:
        self.names += names
        self.sums = torch.cat([self.sums, self.sums.new_zeros(len(names), 2)])
