"""The loss of one batch of the classifier's training (Eq. 1-3), as a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mammogan.config import CadConfig
from mammogan.models.losses import focal
from mammogan.models.networks import Critic
from mammogan.models.penalty import method_for, penalty, scores, scores_and_powers


class CadStep(nn.Module):
    """Loss of one batch, Eq. 1-3: FL(pos) + FL(neg) + GP(pos, neg). DistributedDataParallel wraps this module.

    Set ``averaged`` if gradients are averaged over several ranks: they then become complete as early as possible.
    """

    def __init__(self, cad: Critic, config: CadConfig, averaged: bool = False) -> None:
        super().__init__()
        self.cad, self.config = cad, config
        self.options = method_for(cad, config.compute, staged=averaged)

    def forward(self, positives: Tensor, negatives: Tensor, keep: Tensor) -> dict[str, Tensor]:
        """Pixels (n,1,H,W) of each label, dropout mask (2n, hidden) -> total, focal and penalty losses."""
        config, n = self.config, len(positives)
        pixels = torch.cat([positives, negatives])
        if config.penalty.k:
            labels = torch.arange(2 * n, device=pixels.device) < n
            logits, powers = scores_and_powers(
                self.cad, pixels, keep, config.penalty.of, config.penalty.o, labels.long(), self.options
            )
            gp = penalty(powers[:n], config.penalty.k) + penalty(powers[n:], config.penalty.k)
        else:
            logits, gp = scores(self.cad, pixels, keep, self.options), pixels.new_zeros(())
        shape = (config.focal_gamma, config.focal_alpha, config.focal_detach)
        fl = focal(logits[:n], 1, *shape) + focal(logits[n:], 0, *shape)
        return {"loss": fl + gp, "focal": fl, "penalty": gp}
