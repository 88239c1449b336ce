"""The losses of one batch of the lesion objective, as modules for DistributedDataParallel to wrap.

docs/lesion_objective.md, Eq. L1 (critic) and L2 (generator). x are targets, y sources, m the generator's map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from mammogan.config import LesionConfig
from mammogan.models.lesion import LesionCritic, LesionGenerator
from mammogan.models.networks import at_least_float32


class LesionCriticStep(nn.Module):
    """Eq. L1: softplus(-D(x)) + softplus(D(G(y))) + untouched softplus(D(y)) + r1/2 ||dD(x)/dcells||^2."""

    def __init__(self, critic: LesionCritic, config: LesionConfig) -> None:
        super().__init__()
        self.critic, self.config = critic, config

    def forward(self, target: Tensor, source: Tensor, adversarial: Tensor, with_r1: bool) -> dict[str, Tensor]:
        """Pixels (n,1,H,W) of each -> loss, critic (the loss, detached), gap, r1.

        ``with_r1`` is true in every r1_every-th batch; the loss then contains r1_every times R1.
        """
        n, config = len(target), self.config
        logits = at_least_float32(self.critic(torch.cat([target, adversarial, source])))
        real, made, untouched = logits.split(n)
        loss = F.softplus(-real).mean() + F.softplus(made).mean() + config.untouched * F.softplus(untouched).mean()
        figures = {"gap": (real.mean() - made.mean()).detach()}
        if with_r1 and config.r1:
            r1 = config.r1 / 2 * self._squared_gradient(target).mean()
            loss = loss + config.r1_every * r1
            figures["r1"] = r1.detach()
        return {"loss": loss, "critic": loss.detach(), **figures}

    def _squared_gradient(self, target: Tensor) -> Tensor:
        """Squared norm (n,) of the gradient with respect to the cells.

        In full precision: squares of half-precision gradients would underflow to zero.
        """
        with torch.autocast(target.device.type, enabled=False):
            cells = self.critic.grid.pooled(target).detach().requires_grad_()
            logits = self.critic.judge(cells)
            (gradient,) = torch.autograd.grad(logits.sum(), cells, create_graph=True)
        return gradient.square().sum((1, 2, 3))


class LesionGeneratorStep(nn.Module):
    """Eq. L2: softplus(-D(G(y))) + sparse mean|m(y)| + fixed_point mean|m(x)|, with means over the cells.

    The critic is called with detached weights and is not a submodule: it gets no gradients in this step.
    """

    def __init__(self, generator: LesionGenerator, critic: LesionCritic, config: LesionConfig) -> None:
        super().__init__()
        self.generator, self.config = generator, config
        self._critic = (critic,)

    def forward(self, target: Tensor, source: Tensor) -> dict[str, Tensor]:
        """Pixels (n,1,H,W) of each -> loss, generator (the loss, detached), map and map_of_targets.

        The last two are mean|m(y)| and mean|m(x)|.
        """
        n, config, critic = len(source), self.config, self._critic[0]
        maps = self.generator.map(torch.cat([source, target]))
        adversarial = self.generator.apply_map(source, maps[:n])
        frozen = {name: weight.detach() for name, weight in critic.named_parameters()}
        logits = at_least_float32(functional_call(critic, frozen, (adversarial,)))
        change, change_of_targets = maps[:n].abs().mean(), maps[n:].abs().mean()
        fooling = F.softplus(-logits).mean()
        loss = fooling + config.sparse * change + config.fixed_point * change_of_targets
        return {
            "loss": loss,
            "generator": loss.detach(),
            "map": change.detach(),
            "map_of_targets": change_of_targets.detach(),
        }
