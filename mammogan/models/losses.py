"""The losses of the study (section 4, Eq. 1-8), one function each.

Means are over this rank's samples. Averaging gradients over ranks, as DistributedDataParallel does, then gives the mean
over the global batch. Where an equation is not linear in such means, ``over_ranks`` averages a detached value over the
ranks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mammogan.models.networks import IMAGENET_MEAN, IMAGENET_STD, at_least_float32

OverRanks = Callable[[Tensor], Tensor]


def on_one_rank(value: Tensor) -> Tensor:
    """Return the value unchanged: ``over_ranks`` for a single process."""
    return value


def dis(logit: Tensor) -> Tensor:
    """Dis(g) = -ln(1 + exp(-Dnet(Vnet(g)))) = logsigmoid, always <= 0. Logits (N,1) -> (N,), without overflow."""
    return F.logsigmoid(at_least_float32(logit)).squeeze(1)


def focal(logits: Tensor, label: int, gamma: float = 2.0, alpha: float = 0.5, detach: bool = True) -> Tensor:
    """Focal loss FL of Eq. 1: -alpha mean (1-p)^gamma log p, with p the softmax of ``label`` (0 negative, 1 positive).

    Logits are (N,2). The defaults follow the published code: alpha .5, and ``detach`` makes (1-p)^gamma a constant
    weight. The paper has alpha 1 and no detaching.
    """
    log_p = at_least_float32(logits).log_softmax(1)[:, label]
    weight = (1 - log_p.exp()) ** gamma
    return -alpha * ((weight.detach() if detach else weight) * log_p).mean()


def discriminator_loss(
    dis_real: Tensor, dis_fake: Tensor, stabiliser: str, over_ranks: OverRanks = on_one_rank
) -> Tensor:
    """Eq. 4 without its penalty: -Dis(x) + Dis(y_fn) + S, from Dis values (N,)."""
    return -dis_real.mean() + dis_fake.mean() + _STABILISERS[stabiliser](dis_real, over_ranks)


def stabiliser_paper(dis_real: Tensor, over_ranks: OverRanks = on_one_rank) -> Tensor:
    """Stabiliser S of the paper: mean |Dis(x) - 1|.

    Since Dis <= 0, it equals 1 - mean Dis(x) and only doubles the real term.
    """
    return (dis_real - 1).abs().mean()


def stabiliser_hinge(dis_real: Tensor, over_ranks: OverRanks = on_one_rank) -> Tensor:
    """Stabiliser S of the published code: |mean(-Dis(x)) - 1|, with the mean over the global batch.

    Once mean Dis(x) > -1, its gradient cancels that of the real term. Each rank returns sign * (its own mean - 1) with
    the global sign, so the average over ranks has the global value and gradient.
    """
    mean = -dis_real.mean()
    return torch.sign(over_ranks(mean.detach()) - 1) * (mean - 1)


_STABILISERS: dict[str, Callable[[Tensor, OverRanks], Tensor]] = {
    "hinge": stabiliser_hinge,
    "paper": stabiliser_paper,
}


def identity(fake: Tensor, original: Tensor, over_ranks: OverRanks = on_one_rank) -> Tensor:
    """Eq. 7: ||y_fn - y||^2 / ||y||^2 over the batch, on pixels normalised like the first input channel.

    Pixels are (N,1,H,W) in [0,1]. The denominator is that of the global batch.
    """
    above, below = identity_parts(fake, original)
    return above / over_ranks(below.detach())


def identity_parts(fake: Tensor, original: Tensor) -> tuple[Tensor, Tensor]:
    """Numerator ||y_fn - y||^2 and denominator ||y||^2 of Eq. 7, summed over the batch.

    The sums of several batches, added up, give Eq. 7 over all of them.
    """
    mean, std = IMAGENET_MEAN[0], IMAGENET_STD[0]
    return ((fake - original) / std).square().sum(), ((original - mean) / std).square().sum()


def generator_loss(dis_fake: Tensor, identity_term: Tensor, identity_weight: float = 1.0) -> Tensor:
    """Eq. 8: -Dis(y_fn) + weight * Eq. 7. The weight is 1 in the study."""
    return -dis_fake.mean() + identity_weight * identity_term
