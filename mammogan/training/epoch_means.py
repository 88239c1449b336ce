"""Means of a GAN epoch's figures, over batches and ranks, in a form that survives a restart in its middle."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mammogan.training.distributed import Ranks


class EpochMeans:
    """Sums of named figures and how many batches had each."""

    def __init__(self, names: Sequence[str], ranks: Ranks) -> None:
        self.names, self.ranks = names, ranks
        self.sums = torch.zeros(len(names), 2, dtype=torch.float64, device=ranks.device)

    def add(self, figures: dict[str, Tensor], taken: Tensor) -> None:
        """Add one batch's figures if its step was taken, without waiting for the device."""
        for row, name in enumerate(self.names):
            if name in figures:
                self.sums[row] += torch.stack([figures[name].detach().double(), self.sums.new_ones(())]).where(taken, 0)

    def means(self) -> dict[str, float]:
        """Over all ranks, of the figures that this epoch has."""
        sums = self.ranks.mean(self.sums).tolist()
        return {name: total / count for name, (total, count) in zip(self.names, sums, strict=True) if count}

    def clear(self) -> None:
        self.sums.zero_()

    def state(self) -> list[list[list[float]]]:
        """All ranks' sums; to be called by all of them together."""
        return self.ranks.gather(self.sums.tolist())

    def restore(self, state: list[list[list[float]]]) -> None:
        self.sums.copy_(self.ranks.own_part(state))
