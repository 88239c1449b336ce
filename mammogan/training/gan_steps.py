"""The losses of one GAN batch (Eq. 4, 7 and 8), as modules for DistributedDataParallel to wrap."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mammogan.config import ComputeConfig, GanConfig
from mammogan.models.losses import OverRanks, dis, discriminator_loss, generator_loss, identity
from mammogan.models.networks import Critic
from mammogan.models.penalty import method_for, penalty, scores, scores_and_powers


class DiscriminatorStep(nn.Module):
    """Eq. 4: -Dis(x) + Dis(y_fn) + S + GP(x), with the penalty on real mammograms x only.

    Set ``averaged`` if gradients are averaged over several ranks: they then become complete as early as possible.
    """

    def __init__(self, critic: Critic, config: GanConfig, over_ranks: OverRanks, averaged: bool = False) -> None:
        super().__init__()
        self.critic, self.config, self.over_ranks = critic, config, over_ranks
        self.options = method_for(critic, config.compute, staged=averaged)

    def forward(self, real: Tensor, fake: Tensor, keep: Tensor) -> dict[str, Tensor]:
        """Pixels (n,1,H,W) of targets and fakes, mask (2n, hidden) -> loss, gap, dis_real, dis_fake, penalty."""
        n, config = len(real), self.config.penalty
        if config.k:
            logits, powers = scores_and_powers(self.critic, real, keep[:n], o=config.o, options=self.options)
            gp = penalty(powers, config.k)
        else:
            logits, gp = scores(self.critic, real, keep[:n], self.options), real.new_zeros(())
        dis_real, dis_fake = dis(logits), dis(scores(self.critic, fake, keep[n:], self.options))
        loss = discriminator_loss(dis_real, dis_fake, self.config.stabiliser, self.over_ranks) + gp
        means = {"dis_real": dis_real.mean(), "dis_fake": dis_fake.mean()}
        return {"loss": loss, "penalty": gp, "gap": means["dis_real"] - means["dis_fake"], **means}


class GeneratorStep(nn.Module):
    """Eq. 8, -Dis(y_fn) + Eq. 7, or Eq. 7 alone in the identity phase.

    The discriminator is called with detached weights and is not a submodule: it gets no gradients in this step, and
    DistributedDataParallel does not see it.
    """

    def __init__(self, gnet: nn.Module, critic: Critic, config: GanConfig, adversarial: bool, over_ranks: OverRanks):
        super().__init__()
        self.gnet, self.config, self.adversarial, self.over_ranks = gnet, config, adversarial, over_ranks
        self._judge = (_Judge(critic, config.compute),)

    def forward(self, source: Tensor, keep: Tensor) -> dict[str, Tensor]:
        """Source pixels (n,1,H,W), dropout mask (n, hidden) -> loss, identity."""
        fake = self.gnet(source)
        same = identity(fake, source, self.over_ranks)
        if not self.adversarial:
            return {"loss": same, "identity": same}
        judge = self._judge[0]
        frozen = {name: weight.detach() for name, weight in judge.named_parameters()}
        dis_fake = dis(functional_call(judge, frozen, (fake, keep)))
        return {"loss": generator_loss(dis_fake, same, self.config.identity_weight), "identity": same}


class _Judge(nn.Module):
    """The discriminator's logits as a module, so that they can be computed with other weights than its own."""

    def __init__(self, critic: Critic, compute: ComputeConfig) -> None:
        super().__init__()
        self.critic, self.options = critic, method_for(critic, compute)

    def forward(self, fake: Tensor, keep: Tensor) -> Tensor:
        return scores(self.critic, fake, keep, self.options)


@torch.no_grad()
def fakes_without_graph(gnet: nn.Module, source: Tensor) -> Tensor:
    """Make fakes for the discriminator's step, without a graph.

    Gnet stays in training mode: its batch norm normalises as in its own step, and its running statistics follow the
    networks that later epochs will see.
    """
    fake: Tensor = gnet(source)
    return fake
