"""The study's losses (section 4, Eq. 1-8), one function each.

Means are over this rank's samples; averaging gradients over ranks, as DistributedDataParallel does, gives the mean
over the global batch. Where an equation is not linear in such means, ``over_ranks`` averages a detached value over
the ranks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mammogan.models.networks import IMAGENET_MEAN, IMAGENET_STD, at_least_float32

OverRanks = Callable[[Tensor], Tensor]


def alone(value: Tensor) -> Tensor:
    """``over_ranks`` of a single process."""
    return value


def dis(logit: Tensor) -> Tensor:
    """Dis(g) = -ln(1 + exp(-Dnet(Vnet(g)))) = logsigmoid, always <= 0. Logits (N,1) -> (N,), without overflow."""
    return F.logsigmoid(at_least_float32(logit)).squeeze(1)


def focal(logits: Tensor, label: int, gamma: float = 2.0, alpha: float = 0.5, detach: bool = True) -> Tensor:
    """FL of Eq. 1: -alpha mean (1-p)^gamma log p, p the softmax of ``label`` (0 negative, 1 positive). Logits (N,2).

    alpha .5 and a constant weight (``detach``) as in the published code; alpha 1 and False as in the paper.
    """
    log_p = at_least_float32(logits).log_softmax(1)[:, label]
    weight = (1 - log_p.exp()) ** gamma
    return -alpha * ((weight.detach() if detach else weight) * log_p).mean()


def discriminator_loss(dis_real: Tensor, dis_fake: Tensor, stabiliser: str, over_ranks: OverRanks = alone) -> Tensor:
    """Eq. 4 without its penalty: -Dis(x) + Dis(y_fn) + S, from Dis values (N,)."""
    return -dis_real.mean() + dis_fake.mean() + _STABILISERS[stabiliser](dis_real, over_ranks)


def stabiliser_paper(dis_real: Tensor, over_ranks: OverRanks = alone) -> Tensor:
    """S of the paper: mean |Dis(x) - 1|. Dis being <= 0 this is 1 - mean Dis(x): it only doubles the real term."""
    return (dis_real - 1).abs().mean()


def stabiliser_hinge(dis_real: Tensor, over_ranks: OverRanks = alone) -> Tensor:
    """S of the published code: |mean(-Dis(x)) - 1|, the mean over the global batch.

    Once mean Dis(x) > -1 its gradient cancels the real term's. Each rank returns sign * (own mean - 1) with the global
    sign, so that the average over ranks is the global value and gradient.
    """
    mean = -dis_real.mean()
    return torch.sign(over_ranks(mean.detach()) - 1) * (mean - 1)


_STABILISERS: dict[str, Callable[[Tensor, OverRanks], Tensor]] = {
    "hinge": stabiliser_hinge,
    "paper": stabiliser_paper,
}


def identity(fake: Tensor, original: Tensor, over_ranks: OverRanks = alone) -> Tensor:
    """Eq. 7: ||y_fn - y||^2 / ||y||^2 over the batch, in normalised first-channel space.

    Pixels (N,1,H,W) in [0,1]. The norm below the line is the global batch's.
    """
    above, below = identity_parts(fake, original)
    return above / over_ranks(below.detach())


def identity_parts(fake: Tensor, original: Tensor) -> tuple[Tensor, Tensor]:
    """||y_fn - y||^2 and ||y||^2 of Eq. 7, summed over the batch: sums of several batches give Eq. 7 over them all."""
    mean, std = IMAGENET_MEAN[0], IMAGENET_STD[0]
    return ((fake - original) / std).square().sum(), ((original - mean) / std).square().sum()


def generator_loss(dis_fake: Tensor, identity_term: Tensor, identity_weight: float = 1.0) -> Tensor:
    """Eq. 8: -Dis(y_fn) + Eq. 7. The weight is 1 in the study."""
    return -dis_fake.mean() + identity_weight * identity_term
