"""The gradient penalty (study, Eq. 3 and 4), by plain automatic differentiation: the reference.

GP = (k/2) mean ||g||^o with k = 10, o = 4, g the gradient of a scalar of the critic's output with respect to its
normalised three-channel input, the norm over all values of one mammogram.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mammogan.models.networks import Critic, at_least_float32


def scores_and_powers(
    critic: Critic,
    pixels: Tensor,
    keep: Tensor | None = None,
    of: str = "sum",
    o: float = 4.0,
    labels: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Logits (N, outputs) and ||g||^o (N,), both differentiable, from one shared forward pass.

    ``pixels`` (N,1,H,W) in [0,1]; ``keep`` the dropout mask of both passes; ``labels`` (N,) for ``of='target'``.
    Add the penalty to the loss and call backward once on the total: a backward of the penalty alone leaves gradients
    unsynchronised under DistributedDataParallel.
    """
    normalised = critic.normalise(pixels).detach().requires_grad_(True)
    logits = critic.score(normalised, keep)
    (gradient,) = torch.autograd.grad(differentiated(logits, of, labels).sum(), normalised, create_graph=True)
    square = at_least_float32(gradient).square().sum((1, 2, 3))
    return logits, square ** (o / 2)


def differentiated(logits: Tensor, of: str, labels: Tensor | None = None) -> Tensor:
    """The scalar (N,) whose gradient is penalised.

    sum: all logits, as published; for the CAD's two it is blind to the decision margin. margin: positive minus negative
    logit, which bounds what an attack can use. target: the logit of the own class in ``labels``.
    With one logit (the discriminator) all three are that logit.
    """
    if of == "sum" or logits.shape[1] == 1:
        return logits.sum(1)
    if of == "margin":
        return logits[:, 1] - logits[:, 0]
    if of == "target":
        if labels is None:
            raise ValueError("penalty of='target' needs the labels of the batch")
        return logits.gather(1, labels[:, None]).squeeze(1)
    raise ValueError(f"penalty of={of!r}: expected sum, margin or target")


def penalty(powers: Tensor, k: float = 10.0) -> Tensor:
    """(k/2) mean ||g||^o from the powers (N,) of one class. Eq. 3 adds the positives' and the negatives'."""
    return k / 2 * powers.mean()
