"""The gradient penalty by automatic differentiation applied twice. The fast method is tested against it."""

from __future__ import annotations

import torch
from torch import Tensor

from mammogan.models.networks import Critic
from mammogan.models.penalty.norm import differentiated, power


def scores_and_powers(
    critic: Critic, pixels: Tensor, keep: Tensor | None, of: str, o: float, labels: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Logits (N, outputs) and ||g||^o (N,); see ``mammogan.models.penalty.scores_and_powers``."""
    normalised = critic.normalise(pixels).detach().requires_grad_(True)
    logits = critic.score(normalised, keep)
    (gradient,) = torch.autograd.grad(differentiated(logits, of, labels).sum(), normalised, create_graph=True)
    return logits, power(gradient, o)
